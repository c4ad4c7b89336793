// The newest pattern: as detected, and as the model expects it, in the same colours.

class PatternPictures {
  constructor(host) {
    this.host = host;
    this.view = new View();
  }

  build() {
    this.host.replaceChildren();
    $("pattern-tools").append(...zoomTools(this.view, "the pattern"));
    const common = {
      view: this.view, unit: "", colourHost: $("pattern-colours"), name: "counts", map: "viridis", pixelSize: () => null,
      caption: () => `${runTitle()}, ${this.found.pattern}`,
    };
    const file = (name) => () => `${runName()}-${name}`;
    this.measured = new Picture(this.host, { ...common, title: "Measured", fileName: file("measured") });
    this.modelled = new Picture(this.host, { ...common, title: "Model", fileName: file("model"), follows: this.measured });
  }

  async refresh() {
    const found = await fetchPlanes("pattern");
    if (!found || !found.planes) return;
    if (!this.measured) this.build();
    this.found = found;
    const misfit = found.misfit === null ? "" : `R ${number(found.misfit, 3)}`;
    $("pattern-name").textContent = [found.pattern, misfit, "log10(1 + counts)"].filter(Boolean).join(", ");
    this.view.setWhole({ left: 0, top: 0, width: found.side, height: found.side });
    [this.measured, this.modelled].forEach((picture, k) => {
      if (k < found.planes) picture.show([patternLayer(found, k)]);
    });
    this.modelled.card.hidden = found.planes < 2;
  }
}

function patternLayer(found, k) {
  const count = found.side ** 2;
  const counts = new Float32Array(found.bytes, found.start + 4 * k * count, count);
  const values = { counts: counts.map((value) => Math.log10(1 + Math.max(0, value))) };
  return { left: 0, top: 0, binned: 1, width: found.side, height: found.side, values };
}
