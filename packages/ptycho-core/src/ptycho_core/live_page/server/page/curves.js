// Curves over a common axis: axes, legend, and the values under the pointer.

const CURVE_COLOURS = ["--curve-1", "--curve-2", "--curve-3", "--curve-4"];
const CHART = { width: 560, height: 250, left: 62, right: 14, top: 12, bottom: 40 };

class Curves {
  constructor(host, over) {
    this.over = over;
    this.log = null; // whether the axis is logarithmic; people may choose, else the values decide
    this.toggle = element("button", { type: "button", onclick: () => { this.log = !this.isLog; this.draw(); } }, "Log");
    this.legend = element("div", { className: "legend" });
    this.svg = drawing("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, class: "chart", role: "img" });
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.mark(null));
    host.append(element("div", { className: "head" }, this.legend, element("div", { className: "tools" }, this.toggle)), this.svg);
    // letters keep their size when the card is narrow
    new ResizeObserver(() => this.fitWidth()).observe(host);
    this.points = [];
  }

  fitWidth() {
    const width = Math.max(260, Math.round(this.svg.parentElement.clientWidth));
    if (width === this.width) return;
    this.width = width;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${CHART.height}`);
    this.draw();
  }

  show(points) {
    this.points = points;
    this.names = [...new Set(points.flatMap((point) => Object.keys(point.values)))];
    this.draw();
  }

  draw() {
    if (!this.points.length || !this.width) return;
    const values = this.points.flatMap((p) => Object.values(p.values)).filter((v) => Number.isFinite(v));
    const [low, high] = [Math.min(...values), Math.max(...values)];
    this.isLog = (this.log ?? high > 20 * low) && low > 0;
    this.toggle.disabled = low <= 0;
    this.toggle.setAttribute("aria-pressed", String(this.isLog));
    const to = this.isLog ? Math.log10 : (v) => v;
    const margin = 0.06 * (to(high) - to(low)) || Math.abs(to(high)) * 0.1 || 1;
    const xs = this.points.map((p) => p.x);
    this.x = axis(xs[0], xs.at(-1) > xs[0] ? xs.at(-1) : xs[0] + 1, CHART.left, this.width - CHART.right);
    this.y = axis(to(low) - margin, to(high) + margin, CHART.height - CHART.bottom, CHART.top);
    this.to = to;
    this.svg.replaceChildren(...this.grid(), ...this.names.flatMap((name, k) => this.curve(name, k)));
    this.cursor = drawing("line", { class: "cursor", y1: CHART.top, y2: CHART.height - CHART.bottom, visibility: "hidden" });
    this.svg.append(this.cursor);
    this.mark(null);
  }

  grid() {
    const parts = [];
    const bottom = CHART.height - CHART.bottom;
    for (const tick of this.isLog ? logTicks(this.y.from, this.y.to) : ticks(this.y.from, this.y.to, 5)) {
      const y = this.y.at(tick);
      parts.push(drawing("line", { class: "grid", x1: CHART.left, x2: this.width - CHART.right, y1: y, y2: y }));
      parts.push(drawing("text", { x: CHART.left - 8, y: y + 4, "text-anchor": "end" }, number(this.isLog ? 10 ** tick : tick, 3)));
    }
    for (const tick of ticks(this.x.from, this.x.to, Math.max(2, this.width / 90)).filter(Number.isInteger)) {
      parts.push(drawing("text", { x: this.x.at(tick), y: bottom + 17, "text-anchor": "middle" }, String(tick)));
    }
    const middle = (CHART.left + this.width - CHART.right) / 2;
    parts.push(drawing("text", { x: middle, y: CHART.height - 4, "text-anchor": "middle", class: "axis" }, this.over));
    return parts;
  }

  curve(name, k) {
    const stroke = `var(${CURVE_COLOURS[k % CURVE_COLOURS.length]})`;
    const there = this.points.filter((p) => Number.isFinite(p.values[name]));
    const places = there.map((p) => [this.x.at(p.x), this.y.at(this.to(p.values[name]))]);
    const line = drawing("polyline", { class: "curve", stroke, points: places.map((p) => p.map((v) => v.toFixed(1)).join()).join(" ") });
    if (there.length > 40) return [line];
    return [line, ...places.map(([cx, cy]) => drawing("circle", { cx, cy, r: 2.5, fill: stroke }))];
  }

  point(event) {
    if (!this.x) return;
    const box = this.svg.getBoundingClientRect();
    const x = this.x.back(((event.clientX - box.left) / box.width) * this.width);
    this.mark(this.points.reduce((best, p) => (Math.abs(p.x - x) < Math.abs(best.x - x) ? p : best)));
  }

  // Say the values of a point, or of the last one.
  mark(point) {
    if (!this.points.length) return;
    const shown = point || this.points.at(-1);
    this.legend.replaceChildren(
      ...this.names.map((name, k) => {
        const swatch = element("i", {});
        swatch.style.background = `var(${CURVE_COLOURS[k % CURVE_COLOURS.length]})`;
        return element("span", {}, swatch, `${plainName(name)} `, element("b", {}, number(shown.values[name] ?? NaN)));
      }),
      element("span", { className: "quiet" }, `${this.over} ${number(shown.x)}`),
    );
    if (!this.cursor) return;
    this.cursor.setAttribute("visibility", point ? "visible" : "hidden");
    for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.x.at(shown.x));
  }
}

function axis(from, to, start, end) {
  const scale = (end - start) / (to - from);
  return { from, to, at: (v) => start + (v - from) * scale, back: (p) => from + (p - start) / scale };
}

function ticks(from, to, most) {
  const rough = (to - from) / most;
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((s) => s * decade >= rough) * decade;
  const found = [];
  for (let k = Math.ceil(from / step); k * step <= to * (1 + 1e-12); k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

// Logarithms of round numbers: powers of ten, and where these are few, what lies between them.
function logTicks(from, to) {
  const steps = to - from > 3 ? [1] : to - from > 1 ? [1, 3] : [1, 2, 3, 5, 7];
  const found = [];
  for (let power = Math.floor(from); power <= to; power++) {
    for (const step of steps) {
      const tick = power + Math.log10(step);
      if (tick >= from && tick <= to) found.push(tick);
    }
  }
  return found.length > 1 ? found : ticks(from, to, 4);
}

const NAMES = { r_factor: "R-factor", r_over_noise: "R over noise" };

function plainName(name) {
  return NAMES[name] || name.replaceAll("_", " ");
}
