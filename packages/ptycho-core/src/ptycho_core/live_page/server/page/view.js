// The part of a plane that several pictures show together, and how people move it.

// A rectangle in pixels of the object grid; `whole` is what there is to see.
class View {
  constructor() {
    this.pictures = [];
    this.whole = { left: 0, top: 0, width: 1, height: 1 };
    this.part = this.whole;
    this.fits = true; // follows the whole while it grows
    this.moved = () => {};
  }

  setWhole(whole) {
    this.whole = whole;
    if (this.fits) this.part = whole;
    this.draw();
  }

  fit() {
    this.fits = true;
    this.part = this.whole;
    this.changed();
  }

  // Zoom about a point, which stays where it is.
  zoom(factor, x = this.part.left + this.part.width / 2, y = this.part.top + this.part.height / 2) {
    const { left, top, width, height } = this.part;
    const least = 4 / Math.min(width, height);
    const share = Math.min(Math.max(1 / factor, least), (4 * this.whole.width) / width);
    this.fits = false;
    this.part = {
      left: x - (x - left) * share,
      top: y - (y - top) * share,
      width: width * share,
      height: height * share,
    };
    this.changed();
  }

  pan(dx, dy) {
    const { left, top, width, height } = this.part;
    const inside = (value, start, size) => Math.min(Math.max(value, start - size / 2), start + size / 2);
    this.fits = false;
    this.part = {
      left: inside(left + width / 2 + dx, this.whole.left + this.whole.width / 2, this.whole.width) - width / 2,
      top: inside(top + height / 2 + dy, this.whole.top + this.whole.height / 2, this.whole.height) - height / 2,
      width,
      height,
    };
    this.changed();
  }

  changed() {
    this.draw();
    this.moved();
  }

  draw() {
    for (const picture of this.pictures) picture.draw();
  }
}

function zoomTools(view, what) {
  return [
    button("−", `Zoom out of ${what}`, () => view.zoom(1 / 1.5)),
    button("+", `Zoom into ${what}`, () => view.zoom(1.5)),
    button("Fit", `Show all of ${what}`, () => view.fit()),
  ];
}

// Let people move a view on the canvas of a picture: drag, pinch, wheel, keys.
// The wheel moves the page until the picture has been clicked, or with Ctrl.
function movable(picture, view) {
  const canvas = picture.canvas;
  const pointers = new Map();
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (event.pointerType !== "touch" || !view.fits) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    picture.point(event.offsetX, event.offsetY);
    if (!before) return;
    const here = { x: event.offsetX, y: event.offsetY };
    if (pointers.size === 2) {
      const earlier = spread();
      pointers.set(event.pointerId, here);
      if (earlier > 0) view.zoom(spread() / earlier, ...picture.place(here.x, here.y));
    } else {
      pointers.set(event.pointerId, here);
      if (event.pointerType === "touch" && view.fits) return; // one finger moves the page
      const size = picture.pixel();
      view.pan((before.x - here.x) * size, (before.y - here.y) * size);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("pointerleave", (event) => {
    pointers.delete(event.pointerId);
    picture.point(null);
  });
  canvas.addEventListener("dblclick", (event) => view.zoom(2, ...picture.place(event.offsetX, event.offsetY)));
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      view.zoom(Math.exp(-event.deltaY / 400), ...picture.place(event.offsetX, event.offsetY));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    const step = view.part.width / 10;
    const moves = {
      "+": () => view.zoom(1.5),
      "=": () => view.zoom(1.5),
      "-": () => view.zoom(1 / 1.5),
      0: () => view.fit(),
      ArrowLeft: () => view.pan(-step, 0),
      ArrowRight: () => view.pan(step, 0),
      ArrowUp: () => view.pan(0, -step),
      ArrowDown: () => view.pan(0, step),
    };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    moves[event.key]();
  });
}
