// The object: three pictures of one plane, fetched as few pixels as are shown.

const LONGEST = 1024; // most pixels on a side of an answer

class ObjectPictures {
  constructor(host) {
    this.view = new View();
    this.view.moved = () => this.later();
    this.ramp = element("input", { type: "checkbox", checked: true, id: "ramp", onchange: () => this.paint() });
    const extra = element("label", { className: "check" }, this.ramp, "Ramp removed");
    const common = { view: this.view, pixelSize: () => this.whole?.pixel_size_m };
    const add = (title, unit, name, map, more) => {
      const caption = () => this.caption(name);
      const fileName = () => `${runName()}-${name}`;
      return new Picture(host, { ...common, title, unit, name, map, caption, fileName, ...more });
    };
    this.pictures = [
      add("Phase", "rad", "phase", "viridis", { isPhase: true, extra }),
      add("Amplitude", "", "amplitude", "grey"),
      add("Coverage", "weight", "coverage", "magma", { limits: (values) => [0, values.reduce((a, b) => (b > a ? b : a), 0) || 1] }),
    ];
    this.pictures[2].card.classList.add("coverage");
    this.layers = [];
    $("object-tools").append(...zoomTools(this.view, "the object"));
  }

  caption(name) {
    const size = this.whole.pixel_size_m;
    const parts = [runTitle(), `${this.whole.patterns} patterns`, size ? `pixel ${lengthText(size)}` : ""];
    if (name === "phase") parts.push(this.ramp.checked ? "ramp and mean phase removed" : "phase as it is");
    return parts.filter(Boolean).join(", ");
  }

  // Fetch the newest: all of it, and in detail what is seen of it.
  async refresh() {
    const whole = await fetchPlanes("object");
    if (!whole) return;
    const layer = objectLayer(whole);
    const ratio = Math.min(1.6, Math.max(0.7, whole.covered[2] / whole.covered[3]));
    $("pictures").style.setProperty("--ratio", ratio);
    this.whole = whole;
    const size = whole.pixel_size_m ? ` of ${lengthText(whole.pixel_size_m)}` : "";
    $("object-facts").textContent = `${whole.patterns} patterns, ${whole.object.join(" × ")} pixels${size}`;
    const [left, top, width, height] = whole.covered;
    this.layers = [layer];
    this.view.setWhole({ left: left + whole.origin[0], top: top + whole.origin[1], width, height });
    await this.detail();
    this.paint();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => { if (await this.detail()) this.paint(); }, 200);
  }

  // Fetch what is seen if that has finer pixels than there are.
  async detail() {
    if (!this.whole || this.whole.binned === 1 || this.view.fits) return false;
    const { left, top, width, height } = this.view.part;
    const [x, y] = this.whole.origin;
    const window = {
      left: Math.max(0, Math.floor(left - x)), top: Math.max(0, Math.floor(top - y)),
      width: Math.ceil(width) + 1, height: Math.ceil(height) + 1,
    };
    if (Math.ceil(Math.max(window.width, window.height) / LONGEST) >= this.whole.binned) return false;
    const found = await fetchPlanes("object", window);
    if (!found) return false;
    this.layers = [this.layers[0], { ...objectLayer(found), covers: true }];
    return true;
  }

  paint() {
    for (const layer of this.layers) layer.values.phase = this.ramp.checked ? layer.flat : withRamp(layer);
    for (const picture of this.pictures) picture.show(this.layers);
  }
}

// Fetch a header and the bytes after it; null where there is nothing (yet, or any more).
async function fetchPlanes(name, parameters = {}) {
  try {
    const answer = await fetch(address(name, parameters));
    if (!answer.ok) return null;
    const bytes = await answer.arrayBuffer();
    const length = new DataView(bytes).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
    return { ...header, bytes, start: 4 + length };
  } catch {
    return null; // the run has ended meanwhile
  }
}

function objectLayer(found) {
  const count = found.width * found.height;
  const amplitudes = new Uint16Array(found.bytes, found.start, count);
  const phases = new Int16Array(found.bytes, found.start + 2 * count, count);
  const shares = new Uint8Array(found.bytes, found.start + 4 * count, count);
  const read = (plane, scale) => Float32Array.from(plane, (value, k) => (shares[k] ? value * scale : NaN));
  const flat = read(phases, Math.PI / 32767);
  return {
    left: found.left + found.origin[0],
    top: found.top + found.origin[1],
    binned: found.binned,
    width: found.width,
    height: found.height,
    header: found,
    flat,
    values: {
      phase: flat,
      amplitude: read(amplitudes, found.amplitude / 65535),
      coverage: Float32Array.from(shares, (value) => (value ? ((value - 1) / 254) * found.coverage : NaN)),
    },
  };
}

// Put back the phase that was removed.
function withRamp(layer) {
  const { removed, binned, left, top } = layer.header;
  const turn = 2 * Math.PI;
  return layer.flat.map((value, k) => {
    const x = left + (k % layer.width) * binned + (binned - 1) / 2;
    const y = top + Math.floor(k / layer.width) * binned + (binned - 1) / 2;
    const phase = value + removed[0] * x + removed[1] * y + removed[2];
    return phase - turn * Math.round(phase / turn);
  });
}
