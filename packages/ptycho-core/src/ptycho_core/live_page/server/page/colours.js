// Colour maps, and the limits between which they are spread.

const STOPS = {
  grey: "000000 ffffff",
  viridis:
    "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d 2f6b8e " +
    "2c728e 297a8e 26828e 23898e 21918c 1f988b 1fa088 22a785 28ae80 32b67a 3fbc73 4ec36b " +
    "5ec962 70cf57 84d44b 98d83e addc30 c2df23 d8e219 ece51b fde725",
  magma:
    "000004 030312 0a0822 130d34 1d1147 29115a 36106b 440f76 51127c 5d177f 6a1c81 762181 " +
    "832681 902a81 9c2e7f aa337d b73779 c43c75 d0416f dc4869 e75263 ef5d5e f56b5c f9795d " +
    "fc8961 fd9869 fea772 feb67c fec488 fed395 fde2a3 fcf0b2 fcfdbf",
  twilight:
    "301437 381145 45135c 511b77 592a8f 5d3da1 5e51ad 5f64b5 6276ba 6887be 7297c1 81a6c3 " +
    "95b5c7 acc2cc c4ced4 d7d7dd e2d9e2 dfd4d6 d8c7be d1b6a3 cca389 c89073 c27c63 bb6958 " +
    "b25652 a64550 983550 872750 741e4f 5f174a 4a1342 3a113a 2f1436",
};
const NOTHING = [0, 0, 0, 0]; // not measured: the page shows through
const MAPS = Object.fromEntries(Object.entries(STOPS).map(([name, text]) => [name, table(text)]));

// 256 colours between the stops of a map.
function table(text) {
  const stops = text.split(" ").map((hex) => [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16)));
  const colours = new Uint8Array(256 * 3);
  for (let k = 0; k < 256; k++) {
    const place = (k / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    for (let c = 0; c < 3; c++) {
      colours[3 * k + c] = stops[low][c] + (place - low) * (stops[low + 1][c] - stops[low][c]);
    }
  }
  return colours;
}

// Limits that a few outliers do not move: as the pictures of a result have them.
function robustLimits(values) {
  const step = Math.max(1, Math.floor(values.length / 20000));
  const sample = [];
  for (let k = 0; k < values.length; k += step) if (Number.isFinite(values[k])) sample.push(values[k]);
  if (!sample.length) return [0, 1];
  sample.sort((a, b) => a - b);
  const at = (share) => sample[Math.round(share * (sample.length - 1))];
  const [low, high] = [at(0.005), at(0.995)];
  const width = Math.max(0.01 * Math.abs(high), 1e-2);
  if (high - low >= width) return [low, high];
  return [(low + high - width) / 2, (low + high + width) / 2];
}

// Colour values between limits into the pixels of an image; NaN is left out.
function colour(values, limits, map, pixels) {
  const colours = MAPS[map];
  const scale = 255 / (limits[1] - limits[0] || 1);
  for (let k = 0; k < values.length; k++) {
    const value = values[k];
    if (value !== value) {
      pixels.set(NOTHING, 4 * k);
      continue;
    }
    const place = 3 * Math.max(0, Math.min(255, Math.round((value - limits[0]) * scale)));
    pixels[4 * k] = colours[place];
    pixels[4 * k + 1] = colours[place + 1];
    pixels[4 * k + 2] = colours[place + 2];
    pixels[4 * k + 3] = 255;
  }
}

function number(value, digits = 4) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size && (size >= 1e6 || size < 1e-3)) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}
