// The page follows the run: events say what is new, pictures are fetched when they are looked at.

const token = new URLSearchParams(location.search).get("token");
const state = { run: null, now: {}, points: [], course: [], picture: 0, shown: 0, end: null };
const curves = new Map();
const object = new ObjectPictures($("pictures"));
const patterns = new PatternPictures($("pattern-pair"));
let fetching = false;

// An address of this server, with the token where one is needed.
function address(name, parameters = {}) {
  const query = new URLSearchParams({ ...parameters, ...(token ? { token } : {}) });
  return `${name}?${query}`;
}

function runTitle() {
  return state.run ? `${state.run.facts.scan || "scan"}, ${state.run.command}` : "";
}

function runName() {
  return (state.run?.facts.scan || "ptycho").replace(/[^A-Za-z0-9_-]+/g, "_");
}

function take(news) {
  if (news.run) {
    Object.assign(state, { run: news.run, points: [], course: [], shown: 0 });
    $("curves").replaceChildren(element("p", { className: "empty" }, "Values come as the run goes on."));
    curves.clear();
    showRun(news.run);
  }
  for (const name of ["points", "course"]) {
    const { whole, entries } = news[name];
    state[name] = whole ? entries : state[name].concat(entries);
  }
  Object.assign(state, { now: news.now, picture: news.picture, end: news.end });
  if (news.points.entries.length) showCurves();
  if (news.now.progress) showProgress(news.now.progress);
  showValues(news.now, state.course);
  showCautions(news.cautions);
  const doing = ["running", news.now.stage].filter(Boolean).join(": ");
  showState("running", state.run ? doing : "waiting");
  showEnd(news.end);
  refresh();
}

// One chart for the curves that are told together: they have one axis, and one scale.
function showCurves() {
  const groups = new Map();
  for (const point of state.points) {
    const key = [point.over, ...Object.keys(point.values).sort()].join();
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(point);
  }
  for (const [key, points] of groups) {
    if (!curves.has(key)) {
      if (!curves.size) $("curves").replaceChildren();
      const host = element("div", {});
      $("curves").append(host);
      curves.set(key, new Curves(host, points[0].over));
    }
    curves.get(key).show(points);
  }
}

// Fetch the newest pictures, one after the other, while somebody can see them.
async function refresh() {
  if (fetching || document.hidden || state.picture === state.shown) return;
  fetching = true;
  const wanted = state.picture;
  if (wanted) {
    await object.refresh();
    await patterns.refresh();
    $("files").hidden = false;
  }
  state.shown = wanted;
  fetching = false;
  refresh();
}

function follow() {
  const events = new EventSource(address("events"));
  events.onmessage = (event) => take(JSON.parse(event.data));
  events.onerror = () => {
    if (state.end) leave(events);
    else showState("lost", "no connection");
  };
}

// The server goes with the last run: what has been shown stays, and pictures can be saved.
function leave(events) {
  events.close();
  for (const id of ["npz", "product"]) {
    $(id).removeAttribute("href");
    $(id).title = "The run has ended: its results are in its folder";
  }
}

$("npz").href = address("reconstruction.npz");
$("product").href = address("product.h5");
document.addEventListener("visibilitychange", refresh);
follow();
