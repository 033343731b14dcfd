// The graph of a task: drawn, moved about, kept up to date.
const graphView = {
  folded: new Set(),
  large: 150, // more nodes than these are folded at first

  open(model) {
    this.folded = new Set();
    this.key = "";
    this.drawn = new Map();
    this.at = null;
    if (model.nodes.length > this.large) for (const n of model.nodes) if (n.index && this.isContainer(model, n)) this.folded.add(n.id);
  },

  isContainer: (model, n) => model.children[n.index].length > 0,

  draw(view) {
    const model = view.shown;
    const down = matchMedia("(max-width: 720px)").matches;
    const key = [model === view.live, model.shape, down, model.nodes.reduce((sum, n) => sum + n.loop, 0), ...this.folded].join("\n");
    if (key !== this.key) this.layout(model, down);
    this.key = key;
    for (const [index, box] of this.drawn) this.drawBox(view, model, model.nodes[index], box);
    if (!this.at) this.fit();
  },

  layout(model, down) {
    const { w, h, boxes, arrows, unordered } = graphLayout.of(model, this.folded, down);
    this.size = { w, h };
    this.drawn.clear();
    const parts = [];
    for (const box of boxes) {
      const g = svgElement("g", { transform: `translate(${box.x},${box.y})` });
      if (box.more) {
        g.append(svgElement("rect", { class: "more", width: box.w, height: box.h, rx: 6 }), svgElement("text", { x: 12, y: 28 }, "and " + box.more + " more, in the tree"));
      } else {
        const n = model.nodes[box.index];
        const folded = !box.inside && this.isContainer(model, n);
        const shape = outline(n.kind, box);
        if (folded) g.append(svgElement("rect", { class: "stack", x: 4, y: 4, width: box.w, height: box.h, rx: 6 }));
        g.append(shape);
        g.id = "box-" + box.index;
        g.dataset.index = box.index;
        g.setAttribute("role", "treeitem");
        const name = svgElement("text", { class: "gname", x: folded || box.inside ? 26 : 14, y: 18 });
        const state = svgElement("text", { class: "gstate", x: 14, y: 36 });
        if (box.inside) {
          state.setAttribute("x", box.w - 10);
          state.setAttribute("y", 18);
          state.setAttribute("text-anchor", "end");
        }
        if (folded || box.inside) {
          g.append(svgElement("text", { class: "gfold", x: 10, y: 18 }, folded ? "▸" : "▾"));
          g.setAttribute("aria-expanded", String(!folded));
        }
        const title = svgElement("title", {});
        g.append(name, state, title);
        this.drawn.set(box.index, { ...box, g, name, state, title, folded });
      }
      parts.push(g);
    }
    const lines = arrows.map((a) => svgElement("path", { class: a.back ? "arrow back" : "arrow", d: this.path(a.points), "marker-end": "url(#head)", "data-from": a.from, "data-to": a.to }));
    // Open containers lie below the arrows in them, and those below the boxes.
    const open = parts.filter((g) => this.drawn.get(+g.dataset.index)?.inside);
    const rest = parts.filter((g) => !open.includes(g));
    $("graph-all").replaceChildren(...open, ...lines, ...rest);
    $("graph-note").hidden = !unordered;
  },

  path(points) {
    const [first, ...rest] = points;
    if (rest.length < 2) return `M${first.x},${first.y}` + rest.map((p) => `L${p.x},${p.y}`).join("");
    // Through the middles between the points, bent at the points.
    const bends = rest.slice(0, -1).map((p, i) => {
      const next = rest[i + 1];
      const end = i === rest.length - 2 ? next : { x: (p.x + next.x) / 2, y: (p.y + next.y) / 2 };
      return `Q${p.x},${p.y} ${end.x},${end.y}`;
    });
    return `M${first.x},${first.y}` + bends.join("");
  },

  drawBox(view, model, n, box) {
    const dim = view.keep && !view.keep[n.index];
    const chosen = n.id === view.chosen;
    const counts = this.isContainer(model, n) ? progress(n.counts || {}).join(" of ") : "";
    const took = model.duration(n, view.now());
    const state = stateSymbols[n.state] + " " + [n.state, box.folded ? counts : took, ...[...view.late(n), ...remarks(n)].slice(0, 1)].filter(Boolean).join(" · ");
    const shown = JSON.stringify([n.state, state, nameOf(n), chosen, dim, n.cause]);
    if (box.shown === shown) return;
    box.shown = shown;
    box.g.setAttribute("class", "gnode " + n.state + (chosen ? " chosen" : "") + (dim ? " dim" : "") + (box.inside ? " open" : ""));
    box.name.textContent = clip(clean(nameOf(n)), box.inside ? Math.max(8, Math.floor(box.w / 9) - 16) : 20);
    box.state.textContent = box.inside ? stateSymbols[n.state] + " " + n.state : clip(state, 27);
    box.title.textContent = clean([nameOf(n), kindLabel(n.kind), state, n.cause].filter(Boolean).join("\n"));
    box.g.setAttribute("aria-label", clean([nameOf(n), kindLabel(n.kind), n.state, took, n.cause].filter(Boolean).join(", ")));
    box.g.setAttribute("aria-selected", String(chosen));
  },

  // move sets what is seen: at is the place and the scale of the whole.
  move(x, y, k) {
    this.at = { x, y, k: Math.max(0.05, Math.min(3, k)) };
    this.fitted = false;
    $("graph-all").setAttribute("transform", `translate(${this.at.x},${this.at.y}) scale(${this.at.k})`);
  },

  // fit shows as much as can be read, from the beginning.
  fit() {
    const { clientWidth: w, clientHeight: h } = $("graph");
    if (!w || !h) return;
    const k = Math.max(0.7, Math.min(1, (w - 24) / this.size.w, (h - 24) / this.size.h));
    this.move(Math.max(12, (w - k * this.size.w) / 2), Math.max(12, (h - k * this.size.h) / 2), k);
    this.fitted = true;
  },

  // resized fits the graph into the room that is left, unless a person moved it,
  // and keeps the chosen box in sight.
  resized(view) {
    if (!this.size) return;
    if (!this.at || this.fitted) this.fit();
    const chosen = view.shown?.byID.get(view.chosen);
    if (this.at && chosen !== undefined) this.bring(chosen);
  },

  zoom(factor, x = $("graph").clientWidth / 2, y = $("graph").clientHeight / 2) {
    const k = Math.max(0.05, Math.min(3, this.at.k * factor));
    const f = k / this.at.k;
    this.move(x - f * (x - this.at.x), y - f * (y - this.at.y), k);
  },

  // bring moves a box into sight.
  bring(index) {
    const box = this.drawn.get(index);
    if (!box || !this.at) return;
    const { clientWidth: w, clientHeight: h } = $("graph");
    const { k } = this.at;
    const [x, y] = [this.at.x + k * box.x, this.at.y + k * box.y];
    const margin = 20;
    const fitted = this.fitted;
    const dx = x < margin ? margin - x : Math.min(0, w - margin - x - k * Math.min(box.w, (w - 2 * margin) / k));
    const dy = y < margin ? margin - y : Math.min(0, h - margin - y - k * Math.min(box.h, (h - 2 * margin) / k));
    if (dx || dy) this.move(this.at.x + dx, this.at.y + dy, k);
    this.fitted = fitted;
    $("graph").setAttribute("aria-activedescendant", "box-" + index);
  },

  // reveal unfolds what a node is in and brings it into sight.
  reveal(view, index) {
    const model = view.shown;
    for (let p = model.nodes[index].parent; p >= 0; p = model.nodes[p].parent) this.folded.delete(model.nodes[p].id);
    this.draw(view);
    this.bring(index);
  },

  toggle(view, index) {
    const n = view.shown.nodes[index];
    if (!this.isContainer(view.shown, n)) return;
    if (!this.folded.delete(n.id)) this.folded.add(n.id);
    view.drawRows();
    this.bring(index);
  },

  // step is the nearest box in a direction from the chosen one.
  step(view, dx, dy) {
    const from = this.drawn.get(view.shown.byID.get(view.chosen));
    if (!from) return [...this.drawn.keys()][0] ?? -1;
    let [best, least] = [-1, Infinity];
    const middle = (b) => [b.x + Math.min(b.w, 168) / 2, b.y + Math.min(b.h, 46) / 2];
    const [fx, fy] = middle(from);
    for (const [index, box] of this.drawn) {
      const [x, y] = middle(box);
      const along = (x - fx) * dx + (y - fy) * dy;
      const across = Math.abs((x - fx) * dy) + Math.abs((y - fy) * dx);
      if (along > 4 && along + 3 * across < least) [best, least] = [index, along + 3 * across];
    }
    return best;
  },

  action(view, event) {
    const chosen = view.shown.byID.get(view.chosen);
    const go = (dx, dy) => () => {
      const index = this.step(view, dx, dy);
      if (index < 0) return;
      view.chosen = view.shown.nodes[index].id;
      if (!$("details").hidden) view.choose(index);
      this.draw(view);
      this.bring(index);
    };
    return new Map(Object.entries({
      ArrowRight: go(1, 0), ArrowLeft: go(-1, 0), ArrowDown: go(0, 1), ArrowUp: go(0, -1),
      Home: () => this.fit(),
      Enter: () => chosen !== undefined && view.choose(chosen),
      " ": () => chosen !== undefined && this.toggle(view, chosen),
      Escape: () => view.choose(-1),
    })).get(event.key);
  },
};

// Pointers: one drags, two zoom, a short one chooses or folds.
{
  const box = $("graph");
  const pointers = new Map();
  let moved = 0;
  const spot = (e) => {
    const { left, top } = box.getBoundingClientRect();
    return { x: e.clientX - left, y: e.clientY - top };
  };
  box.addEventListener("pointerdown", (e) => {
    if (!pointers.size) moved = 0;
    pointers.set(e.pointerId, spot(e));
  });
  box.addEventListener("pointermove", (e) => {
    const was = pointers.get(e.pointerId);
    if (!was || !graphView.at) return;
    const now = spot(e);
    const other = [...pointers].find(([id]) => id !== e.pointerId)?.[1];
    moved += Math.abs(now.x - was.x) + Math.abs(now.y - was.y);
    if (moved > 4 && !box.hasPointerCapture(e.pointerId)) box.setPointerCapture(e.pointerId);
    if (other) graphView.zoom(Math.hypot(now.x - other.x, now.y - other.y) / (Math.hypot(was.x - other.x, was.y - other.y) || 1), other.x, other.y);
    else graphView.move(graphView.at.x + now.x - was.x, graphView.at.y + now.y - was.y, graphView.at.k);
    pointers.set(e.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, (e) => pointers.delete(e.pointerId));
  box.addEventListener("click", (e) => {
    const g = e.target.closest(".gnode");
    if (!g || moved > 4) return;
    const index = +g.dataset.index;
    if (e.target.classList.contains("gfold")) graphView.toggle(taskView, index);
    else taskView.choose(index);
  });
  box.addEventListener("dblclick", (e) => {
    const g = e.target.closest(".gnode");
    if (g) graphView.toggle(taskView, +g.dataset.index);
  });
  box.addEventListener("wheel", (e) => {
    if (!graphView.at) return;
    const { x, y } = spot(e);
    graphView.zoom(e.deltaY < 0 ? 1.15 : 1 / 1.15, x, y);
    e.preventDefault();
  });
  box.addEventListener("keydown", (e) => {
    if (!taskView.live || e.ctrlKey || e.metaKey || e.altKey) return;
    const act = graphView.action(taskView, e);
    if (!act) return;
    e.preventDefault();
    act();
  });
  new ResizeObserver(() => taskView.tab === "graph" && taskView.live && graphView.resized(taskView)).observe(box);
}
