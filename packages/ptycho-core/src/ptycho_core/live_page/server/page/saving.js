// A picture as PNG: with title, colour bar, scale bar and caption, on white, whatever the page has.

function savePicture(picture) {
  if (!picture.layers.length) return;
  const layer = picture.layers[0];
  const scale = Math.max(1, Math.min(8, Math.round(800 / Math.max(layer.width, layer.height))));
  const [width, height] = [layer.width * scale, layer.height * scale];
  const unit = Math.max(14, Math.round(width / 45)); // height of the letters
  const [left, top, right, bottom] = [unit, 2.6 * unit, 6 * unit, 5 * unit];
  const canvas = Object.assign(document.createElement("canvas"), { width: Math.max(width, 300) + left + right, height: height + top + bottom });
  const context = canvas.getContext("2d");
  const write = (text, x, y, size = 1, align = "left") => {
    context.font = `${Math.round(unit * size)}px system-ui, sans-serif`;
    context.textAlign = align;
    context.fillText(text, x, y);
  };
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#d9d2c5"; // what was not measured
  context.fillRect(left, top, width, height);
  context.imageSmoothingEnabled = false;
  context.drawImage(picture.drawn[0], left, top, width, height);
  context.fillStyle = "#111";
  write(picture.title + (picture.unit ? ` / ${picture.unit}` : ""), left, 1.7 * unit, 1.2);

  const x = left + width + unit;
  for (let k = 0; k < 256; k++) {
    const [r, g, b] = MAPS[picture.colours].subarray(3 * k, 3 * k + 3);
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect(x, top + (height * (255 - k)) / 256, unit, height / 256 + 1);
  }
  context.fillStyle = "#111";
  write(number(picture.range[1], 3), x + 1.4 * unit, top + 0.8 * unit, 0.85);
  write(number(picture.range[0], 3), x + 1.4 * unit, top + height, 0.85);

  const { length, text } = roundLength((layer.width * layer.binned) / 4, picture.pixelSize());
  context.fillRect(left, top + height + 0.7 * unit, (length / layer.binned) * scale, 0.35 * unit);
  write(text, left + (length / layer.binned) * scale + 0.6 * unit, top + height + 1.25 * unit, 0.9);
  write(picture.caption(), left, top + height + 3.4 * unit, 0.85);
  canvas.toBlob((blob) => saveBlob(blob, `${picture.fileName()}.png`));
}

function saveBlob(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
