// Shows the pictures of two runs in turn, at the same place, or all of them.
"use strict";
const box = document.getElementById("blink");
const kind = document.getElementById("kind");
const picks = [...box.querySelectorAll("select:not(#kind)")];
const blink = document.getElementById("play");
const label = document.getElementById("name");
const pictures = [...document.querySelectorAll("[data-run]")];
let one = false, shown = 0, timer = null;
function show() {
  const run = picks[shown].value;
  for (const picture of pictures) {
    picture.hidden = one && (picture.dataset.run !== run || picture.dataset.kind !== kind.value);
  }
  label.textContent = one ? picks[shown].selectedOptions[0].textContent : "";
  blink.textContent = timer === null ? "Blink" : "Stop";
}
function stop() { clearInterval(timer); timer = null; }
function turn() { if (one) { shown = 1 - shown; } one = true; show(); }
blink.addEventListener("click", () => {
  if (timer === null) { timer = setInterval(turn, 700); turn(); } else { stop(); show(); }
});
document.getElementById("turn").addEventListener("click", turn);
document.getElementById("all").addEventListener("click", () => { stop(); one = false; show(); });
kind.addEventListener("change", () => { one = true; show(); });
picks.forEach((pick, number) => pick.addEventListener("change", () => {
  shown = number; one = true; show();
}));
picks[1].selectedIndex = 1;
box.hidden = false;
