// A picture of values on a plane: canvas, colour scale, scale bar, reading under the pointer.

// What is drawn is a list of layers, coarse ones first. A layer is
// { left, top, binned, width, height, values: { name: Float32Array } }; places in pixels of the grid.
class Picture {
  // options: title, unit, name (of the values), map, view, caption(), pixelSize(), limits(values),
  // follows (a picture whose colours are used), colourHost (where people choose the colours), extra
  // (an element beside that)
  constructor(host, options) {
    Object.assign(this, { map: "grey", limits: robustLimits, extra: null }, options);
    this.layers = [];
    this.drawn = []; // an image for each layer
    this.fixed = null; // limits that people chose
    this.range = [0, 1];
    this.build(host);
    this.view.pictures.push(this);
    movable(this, this.view);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  build(host) {
    this.canvas = element("canvas", { tabIndex: 0, role: "img", "aria-label": this.title });
    this.reading = element("span", { className: "reading" });
    this.bar = element("span", { className: "scale-bar" });
    this.barText = element("span", {});
    const save = button("PNG", `Download ${this.title} as PNG`, () => savePicture(this));
    const head = element("div", { className: "head" }, element("h3", {}, this.title), element("span", { className: "quiet" }, this.unit), element("div", { className: "tools" }, save));
    const below = element("div", { className: "below" }, element("span", { className: "scale" }, this.bar, this.barText), this.reading);
    this.card = element("figure", { className: "card picture" }, head, this.canvas, below);
    host.append(this.card);
    if (!this.follows) (this.colourHost || this.card).append(this.colourRow());
  }

  colourRow() {
    const field = (label, end) =>
      element("input", {
        type: "number", step: "any", "aria-label": `${label} of the colours of ${this.title}`,
        onchange: () => this.choose(),
      });
    this.low = field("Lower end");
    this.high = field("Upper end");
    this.ramp = element("canvas", { className: "colours", width: 256, height: 1 });
    this.choice = element(
      "select",
      { "aria-label": `Colours of ${this.title}`, onchange: () => { this.chosenMap = this.choice.value; this.paint(); } },
      ...Object.keys(MAPS).map((name) => element("option", { value: name }, name)),
    );
    this.auto = element("button", { type: "button", title: "Colours follow the values", onclick: () => { this.fixed = null; this.paint(); } }, "Auto");
    const row = element("div", { className: "colour-row" }, this.low, this.ramp, this.high);
    const more = element("div", { className: "colour-row" }, this.choice, this.auto);
    if (this.extra) more.append(this.extra);
    return element("div", { className: "colour-rows" }, row, more);
  }

  choose() {
    const [low, high] = [this.low.valueAsNumber, this.high.valueAsNumber];
    if (Number.isFinite(low) && Number.isFinite(high) && high > low) this.fixed = [low, high];
    this.paint();
  }

  // Take new layers, and give them colours.
  show(layers) {
    this.layers = layers;
    this.paint();
  }

  paint() {
    if (!this.layers.length) return;
    const leader = this.follows || this;
    const found = leader.fixed || (leader === this ? this.limits(this.layers[0].values[this.name]) : leader.range);
    const cyclic = leader === this && this.isPhase && !this.fixed && found[1] - found[0] > 0.85 * 2 * Math.PI;
    this.range = cyclic ? [-Math.PI, Math.PI] : found;
    this.colours = leader === this ? this.chosenMap || (cyclic ? "twilight" : this.map) : leader.colours;
    this.drawn = this.layers.map((layer) => {
      const image = new ImageData(layer.width, layer.height);
      colour(layer.values[this.name], this.range, this.colours, image.data);
      const canvas = new OffscreenCanvas(layer.width, layer.height);
      canvas.getContext("2d").putImageData(image, 0, 0);
      return canvas;
    });
    if (!this.follows) this.paintColours();
    this.draw();
  }

  paintColours() {
    for (const [field, value] of [[this.low, this.range[0]], [this.high, this.range[1]]]) {
      if (document.activeElement !== field) field.value = number(value, 3);
    }
    this.choice.value = this.colours;
    this.auto.setAttribute("aria-pressed", String(!this.fixed));
    const image = new ImageData(256, 1);
    colour(Float32Array.from({ length: 256 }, (_, k) => k), [0, 255], this.colours, image.data);
    this.ramp.getContext("2d").putImageData(image, 0, 0);
  }

  // Where the part of the view lies in the canvas: scale in CSS pixels per grid pixel, and its corner.
  frame() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const part = this.view.part;
    const scale = Math.min(width / part.width, height / part.height) || 1;
    return {
      scale,
      left: part.left - (width / scale - part.width) / 2,
      top: part.top - (height / scale - part.height) / 2,
    };
  }

  pixel() {
    return 1 / this.frame().scale;
  }

  // The grid pixel under a point of the canvas.
  place(x, y) {
    const { scale, left, top } = this.frame();
    return [left + x / scale, top + y / scale];
  }

  draw() {
    const canvas = this.canvas;
    const density = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * density);
    const height = Math.round(canvas.clientHeight * density);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const { scale, left, top } = this.frame();
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    this.layers.forEach((layer, k) => {
      const size = layer.binned * scale * density;
      context.imageSmoothingEnabled = size < 1;
      const x = (layer.left - left) * scale * density;
      const y = (layer.top - top) * scale * density;
      if (layer.covers) context.clearRect(x, y, layer.width * size, layer.height * size);
      context.drawImage(this.drawn[k], x, y, layer.width * size, layer.height * size);
    });
    canvas.style.touchAction = this.view.fits ? "pan-y" : "none";
    this.drawScale(scale);
  }

  drawScale(scale) {
    const { length, text } = roundLength(this.canvas.clientWidth / scale / 4, this.pixelSize());
    this.bar.style.width = `${length * scale}px`;
    this.barText.textContent = text;
  }

  // The value of the finest layer at a grid pixel.
  valueAt(x, y) {
    for (const layer of [...this.layers].reverse()) {
      const column = Math.floor((x - layer.left) / layer.binned);
      const row = Math.floor((y - layer.top) / layer.binned);
      if (column >= 0 && row >= 0 && column < layer.width && row < layer.height) {
        return layer.values[this.name][row * layer.width + column];
      }
    }
    return NaN;
  }

  point(x, y) {
    for (const picture of this.view.pictures) picture.reading.textContent = "";
    if (x === null) return;
    const [column, row] = this.place(x, y);
    const size = this.pixelSize();
    const where = size ? `${lengthText(column * size)}, ${lengthText(row * size)}` : `${Math.floor(column)}, ${Math.floor(row)}`;
    for (const picture of this.view.pictures) {
      const value = picture.valueAt(column, row);
      if (Number.isFinite(value)) picture.reading.textContent = `${number(value, 3)} at ${where}`;
    }
  }
}

// A round length of not more than so many pixels, in pixels and in words.
function roundLength(pixels, size) {
  const most = pixels * (size || 1);
  const decade = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].find((step) => step * decade <= most * (1 + 1e-9)) * decade;
  return { length: length / (size || 1), text: size ? lengthText(length) : `${number(length, 1)} px` };
}

function lengthText(metres) {
  const size = Math.abs(metres);
  for (const [unit, metre] of [["mm", 1e-3], ["µm", 1e-6], ["nm", 1e-9]]) {
    if (size >= metre * (1 - 1e-9)) return `${number(metres / metre, 3)} ${unit}`;
  }
  return size ? `${number(metres / 1e-12, 3)} pm` : "0";
}
