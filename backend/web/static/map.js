// The pool in two dimensions: points to look at, by pointer or keys, and to choose.

import { askAgain } from "./pictures.js";

const MARGIN_PX = 14;
const NEAR_PX = 18;
const NEAREST = 50;
// As many as a form may name.
const MOST = 900;
const KINDS = ["other", "candidate", "labeled", "selected"];
// The kinds by how likely they are meant, where more are drawn around than a form may name.
const WANTED = [3, 1, 0, 2];

const number = new Intl.NumberFormat("en");

// Color is not all that tells the kinds apart: dots, triangles, squares, and dots with a ring.
const SHAPES = [
  (pen, x, y) => filled(pen, () => pen.arc(x, y, 2, 0, 2 * Math.PI)),
  (pen, x, y) =>
    filled(pen, () => {
      pen.moveTo(x, y - 4);
      pen.lineTo(x + 3.5, y + 2.5);
      pen.lineTo(x - 3.5, y + 2.5);
    }),
  (pen, x, y) => filled(pen, () => pen.rect(x - 3, y - 3, 6, 6)),
  (pen, x, y) => {
    filled(pen, () => pen.arc(x, y, 3.5, 0, 2 * Math.PI));
    pen.beginPath();
    pen.arc(x, y, 6, 0, 2 * Math.PI);
    pen.stroke();
  },
];

function filled(pen, outline) {
  pen.beginPath();
  outline();
  pen.fill();
}

export async function drawMap(place) {
  const reply = await fetch(place.dataset.map);
  if (reply.ok) new PoolMap(place, await reply.json()).begin();
  else document.getElementById("map-said").textContent = "The map cannot be shown now.";
  place.removeAttribute("aria-busy");
}

class PoolMap {
  constructor(place, points) {
    this.place = place;
    this.points = points;
    this.canvas = place.querySelector("canvas");
    this.hover = place.querySelector(".hover");
    this.form = document.getElementById("map-form");
    this.said = document.getElementById("map-said");
    this.tool = document.getElementById("map-draws");
    this.order = points.kinds.map((_, at) => at).sort((a, b) => points.kinds[a] - points.kinds[b]);
    this.shown = -1;
    this.chosen = new Set();
    this.choices = 0;
    this.lasso = [];
  }

  begin() {
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.lasso = [[event.offsetX, event.offsetY]];
    });
    this.canvas.addEventListener("pointermove", (event) => this.moved(event));
    this.canvas.addEventListener("pointerup", () => this.closeLasso());
    // The browser took the stroke over: it scrolls the page.
    this.canvas.addEventListener("pointercancel", () => this.dropLasso());
    this.tool.addEventListener("click", () => {
      const isOn = this.canvas.classList.toggle("draws");
      this.tool.setAttribute("aria-pressed", isOn);
    });
    this.canvas.addEventListener("pointerleave", () => this.show(-1));
    this.canvas.addEventListener("keydown", (event) => this.pressed(event));
    this.canvas.addEventListener("blur", () => this.show(-1));
  }

  at(index) {
    const { width, height } = this.canvas.getBoundingClientRect();
    return [
      MARGIN_PX + this.points.x[index] * (width - 2 * MARGIN_PX),
      MARGIN_PX + (1 - this.points.y[index]) * (height - 2 * MARGIN_PX),
    ];
  }

  draw() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const scale = devicePixelRatio;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(this.canvas);
    const colors = KINDS.map((_, kind) => style.getPropertyValue(`--k${kind}`));
    pen.scale(scale, scale);
    pen.lineWidth = 1.5;
    for (const index of this.order) {
      const [x, y] = this.at(index);
      const kind = this.points.kinds[index];
      pen.fillStyle = pen.strokeStyle = colors[kind];
      SHAPES[kind](pen, x, y);
    }
    pen.strokeStyle = style.color;
    for (const index of this.order) {
      if (index !== this.shown && !this.chosen.has(this.points.task_ids[index])) continue;
      const [x, y] = this.at(index);
      pen.beginPath();
      pen.arc(x, y, 9, 0, 2 * Math.PI);
      pen.stroke();
    }
    if (this.lasso.length > 1) {
      pen.beginPath();
      this.lasso.forEach(([x, y], step) => (step ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.stroke();
    }
  }

  moved(event) {
    if (this.lasso.length) {
      this.lasso.push([event.offsetX, event.offsetY]);
      this.draw();
    } else this.show(this.nearest(event.offsetX, event.offsetY));
  }

  nearest(x, y) {
    let found = -1;
    let least = NEAR_PX ** 2;
    for (const index of this.order) {
      const [px, py] = this.at(index);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance <= least) [found, least] = [index, distance];
    }
    return found;
  }

  show(index) {
    if (index === this.shown) return;
    this.shown = index;
    this.hover.hidden = index < 0;
    if (index >= 0) {
      const [x, y] = this.at(index);
      const task = this.points.task_ids[index];
      const label = this.points.labels[index];
      this.hover.querySelector("img").replaceWith(this.picture(task));
      const text = `Task ${task}, ${KINDS[this.points.kinds[index]]}${label ? `: \u2068${label}\u2069` : ""}`;
      this.hover.querySelector("p").textContent = text;
      if (document.activeElement === this.canvas) this.said.textContent = text;
      const { width, height } = this.canvas.getBoundingClientRect();
      this.hover.style.left = `${Math.min(x + 12, width - 140)}px`;
      this.hover.style.top = `${Math.min(y + 12, height - 160)}px`;
    }
    this.draw();
  }

  // A new one each time: in the last one its picture would stand until this one is there.
  picture(task) {
    const image = new Image(96, 96);
    image.alt = "";
    image.src = this.place.dataset.thumbnails + task;
    askAgain(image);
    return image;
  }

  pressed(event) {
    const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in steps) this.show(this.beside(...steps[event.key]));
    else if (event.key === "Enter" && this.shown >= 0) this.chooseLike(this.shown);
    else if (event.key === "Escape") this.choose([]);
    else return;
    event.preventDefault();
  }

  beside(dx, dy) {
    if (this.shown < 0) return this.order.at(-1) ?? -1;
    const [x, y] = this.at(this.shown);
    let found = this.shown;
    let least = Infinity;
    for (const index of this.order) {
      const [px, py] = this.at(index);
      const ahead = (px - x) * dx + (py - y) * dy;
      const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      const cost = ahead + 2 * aside;
      if (index !== this.shown && ahead > 0.5 && cost < least) [found, least] = [index, cost];
    }
    return found;
  }

  // By the embeddings of the whole pool; where these are not at hand, as the map has it.
  async chooseLike(index) {
    const choice = ++this.choices;
    const reply = await fetch(this.place.dataset.alike + this.points.task_ids[index]).catch(() => null);
    const alike = reply?.ok ? (await reply.json()).task_ids : [];
    if (choice === this.choices) this.choose(alike.length ? alike : this.around(index));
  }

  around(index) {
    const [x, y] = this.at(index);
    const far = (other) => {
      const [px, py] = this.at(other);
      return (px - x) ** 2 + (py - y) ** 2;
    };
    const near = [...this.order].sort((a, b) => far(a) - far(b)).slice(0, NEAREST);
    return near.map((other) => this.points.task_ids[other]);
  }

  dropLasso() {
    this.lasso = [];
    this.draw();
  }

  closeLasso() {
    const [line, last] = [this.lasso, this.lasso.at(-1)];
    this.lasso = [];
    const place = (index) => WANTED.indexOf(this.points.kinds[index]);
    if (line.length > 3) {
      const within = this.order.filter((index) => inside(line, this.at(index)));
      within.sort((a, b) => place(a) - place(b));
      this.choose(within.map((index) => this.points.task_ids[index]));
    } else if (last) {
      const index = this.nearest(...last);
      if (index >= 0) this.chooseLike(index);
      else this.choose([]);
    }
  }

  choose(tasks) {
    this.choices += 1;
    this.chosen = new Set(tasks.slice(0, MOST));
    const shown = this.points.task_ids.filter((task) => this.chosen.has(task)).length;
    const { size } = this.chosen;
    this.form.elements.task_ids.value = [...this.chosen].join(",");
    this.form.hidden = !size;
    const [some, all] = [number.format(size), number.format(tasks.length)];
    if (!size) this.said.textContent = "";
    else if (some !== all)
      this.said.textContent = `${some} of ${all} images are chosen, selected and candidates first.`;
    else if (shown < size)
      this.said.textContent = `${some} images are chosen, ${number.format(shown)} of them on the map.`;
    else this.said.textContent = `${some} images are chosen.`;
    this.draw();
  }
}

function inside(line, [x, y]) {
  let within = false;
  for (let a = 0, b = line.length - 1; a < line.length; b = a, a += 1) {
    const [ax, ay] = line[a];
    const [bx, by] = line[b];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
  }
  return within;
}
