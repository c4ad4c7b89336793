// What the run says in words and figures: state, progress, values with their course, cautions.

const UNITS = {
  rate: "patterns/s", latency: "s", queue: "patterns", lost: "patterns", late: "patterns",
  doubled: "patterns", dropped: "patterns",
};
const STATES = { finished: "finished", interrupted: "interrupted", failed: "failed" };

function showRun(run) {
  const facts = run.facts;
  $("title").textContent = `${facts.scan || "scan"} · ${run.command}`;
  $("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => [
      element("dt", {}, plainName(name)),
      element("dd", {}, typeof value === "number" ? number(value, 6) : value),
    ]),
  );
}

function showProgress(progress) {
  const { done, total, unit } = progress;
  $("bar").hidden = !total;
  if (total) $("bar").value = Math.min(1, done / total);
  const of = total ? ` / ${number(total, 6)}` : "";
  $("done").textContent = `${number(done, 6)}${of} ${unit}`;
  const share = total ? `${Math.floor((100 * done) / total)} % ` : "";
  document.title = `${share}${$("title").textContent}`;
}

function showState(name, text) {
  $("state").textContent = text;
  $("state").className = `state ${name}`;
}

function showEnd(end) {
  $("ending").hidden = !end;
  if (!end) return;
  showState(end.how, STATES[end.how]);
  const parts = [end.text, end.path && `Results: ${end.path}`].filter(Boolean);
  $("ending").hidden = !parts.length;
  $("ending").className = `note ${end.how}`;
  $("ending").replaceChildren(...parts.map((text) => element("p", {}, text)));
}

function showCautions(cautions) {
  const host = $("cautions");
  if (host.childElementCount === cautions.length + 1 || !cautions.length) {
    host.hidden = !cautions.length;
    return;
  }
  host.hidden = false;
  const title = `${cautions.length} caution${cautions.length > 1 ? "s" : ""}`;
  host.replaceChildren(element("h2", {}, title), ...cautions.map((text) => element("p", {}, text)));
}

function showValues(now, course) {
  const names = Object.keys(now).filter((key) => key.startsWith("value ")).map((key) => key.slice(6));
  if (!names.length) return;
  $("values").replaceChildren(
    ...names.map((name) =>
      element(
        "div",
        { className: "value" },
        element("span", { className: "quiet" }, plainName(name)),
        element("span", {}, element("b", {}, number(now[`value ${name}`] ?? NaN, 3)), ` ${UNITS[name] || ""}`),
        spark(course.map((entry) => entry.values[name]).filter((value) => Number.isFinite(value))),
      ),
    ),
  );
}

// The course of a value as a small line.
function spark(values) {
  const [width, height] = [120, 28];
  const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", preserveAspectRatio: "none", "aria-hidden": "true" });
  if (values.length < 2) return svg;
  const most = Math.max(...values) || 1;
  const step = Math.max(1, Math.floor(values.length / width));
  const shown = values.filter((_, k) => k % step === 0);
  const points = shown.map((v, k) => `${((k / (shown.length - 1)) * width).toFixed(1)},${(height - 2 - (v / most) * (height - 4)).toFixed(1)}`);
  svg.append(drawing("polyline", { points: points.join(" ") }));
  return svg;
}
