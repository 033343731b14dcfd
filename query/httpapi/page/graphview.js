// The graph of a task: drawing it, moving about in it, keeping it up to date.
const graphView = {
  large: 150, // a task with more nodes is folded at first
  legible: 0.75, // the smallest scale at which texts can be read

  open(model) {
    // IDs of the folded containers, the same as in the rows unless the task is large.
    this.folded = finding.folded;
    this.parts = new Map(); // the drawn part of each large container, by its ID
    this.key = "";
    this.drawn = new Map(); // boxes by the ID of their node
    this.at = null;
    if (model.nodes.length > this.large) this.folded = new Set(model.nodes.filter((n) => n.index && this.isContainer(model, n)).map((n) => n.id));
  },

  isContainer: (model, n) => model.children[n.index].length > 0,

  draw(view) {
    const model = view.shown;
    const down = matchMedia("(max-width: 720px)").matches;
    // What a filter leaves of the containers in parts.
    const kept = view.keep ? model.children.map((_, at) => (model.children[at].length > graphLayout.most ? graphLayout.candidates(model, at, view.keep).join() : "")) : [];
    const key = [model === view.live, model.root.id, model.shape, down, model.nodes.reduce((sum, n) => sum + n.loop, 0), ...this.folded, ...[...this.parts].flat(), ...kept].join("\n");
    if (key !== this.key) this.layout(model, view.keep, down);
    this.key = key;
    for (const [id, box] of this.drawn) this.drawBox(view, model, model.find(id), box);
    if (!this.at) this.fit();
  },

  layout(model, keep, down) {
    const { w, h, boxes, arrows, unordered } = graphLayout.of(model, this, keep, down);
    this.size = { w, h };
    this.drawn.clear();
    const drawn = boxes.map((box) => [box, box.index === undefined ? this.furtherBox(model, box) : this.nodeBox(model, box)]);
    for (const [box, g] of drawn) g.setAttribute("transform", `translate(${box.x},${box.y})`);
    const lines = arrows.map((a) => svgElement("path", { class: a.back ? "arrow back" : "arrow", d: this.path(a.points), "marker-end": "url(#head)" }));
    // Open containers lie below the arrows in them, and the arrows below the boxes.
    const groups = (open) => drawn.filter(([box]) => !!box.inside === open).map(([, g]) => g);
    $("graph-all").replaceChildren(...groups(true), ...lines, ...groups(false));
    $("graph-note").hidden = !unordered;
    $("graph-note").textContent = (arrows.length ? "Where there are no arrows, no flows are recorded" : "No flows are recorded here") + ": the steps are in the order in which they were created.";
  },

  // nodeBox is the box of a node. drawBox fills it.
  nodeBox(model, box) {
    const n = model.nodes[box.index];
    const folded = !box.inside && this.isContainer(model, n);
    const g = svgElement("g", { id: "box-" + box.index, "data-node": n.id, role: "treeitem" });
    if (folded) g.append(svgElement("rect", { class: "stack", x: 4, y: 4, width: box.w, height: box.h, rx: 6 }));
    g.append(outline(n.kind, box));
    if (folded || box.inside) {
      g.append(svgElement("text", { class: "gfold", x: 10, y: 18 }, folded ? "▸" : "▾"));
      g.setAttribute("aria-expanded", String(!folded));
    }
    const name = svgElement("text", { class: "gname", x: folded || box.inside ? 26 : 14, y: 18 });
    const state = svgElement("text", box.inside ? { class: "gstate", x: box.w - 10, y: 18, "text-anchor": "end" } : { class: "gstate", x: 14, y: 36 });
    const title = svgElement("title", {});
    g.append(name, state, title);
    this.drawn.set(n.id, { ...box, g, name, state, title, folded });
    return g;
  },

  // furtherBox is the box that leads to another part of a container.
  furtherBox(model, { w, h, from, until, to, count, container }) {
    const which = `Show ${from + 1} to ${until}`;
    const g = svgElement("g", { class: "gpart", role: "treeitem", "aria-label": `${which} of ${count} nodes`, "data-container": model.nodes[container].id, "data-part": to });
    g.append(svgElement("rect", { class: "more", width: w, height: h, rx: 6 }), svgElement("text", { class: "gname", x: 14, y: 18 }, which), svgElement("text", { class: "gstate", x: 14, y: 36 }, `of ${count} nodes`));
    return g;
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

  // drawBox shows a node in its box, as far as something has changed.
  drawBox(view, model, n, box) {
    const dim = view.keep && !view.keep[n.index];
    const chosen = n.id === view.chosen;
    const counts = this.isContainer(model, n) ? progress(n) : "";
    const took = model.duration(n, view.now());
    const state = stateSymbols[n.state] + " " + [n.state, box.folded ? counts : took, ...[...view.late(n), ...remarks(n)].slice(0, 1)].filter(Boolean).join(" · ");
    const shown = JSON.stringify([n.state, state, nameOf(n), chosen, dim, n.cause]);
    if (box.shown === shown) return;
    box.shown = shown;
    box.g.setAttribute("class", "gnode " + n.state + (chosen ? " chosen" : "") + (dim ? " dim" : "") + (box.inside ? " open" : ""));
    box.state.textContent = box.inside ? stateSymbols[n.state] + " " + n.state : fitText(state, box.w - 26, "12px");
    const taken = (box.folded || box.inside ? 26 : 14) + (box.inside ? textWidth(box.state.textContent, "12px") + 18 : 10);
    box.name.textContent = fitText(clean(nameOf(n)), box.w - taken, "600 13px");
    box.title.textContent = clean([nameOf(n), kindLabel(n.kind), state, n.cause].filter(Boolean).join("\n"));
    box.g.setAttribute("aria-label", clean([nameOf(n), kindLabel(n.kind), n.state, took, n.cause].filter(Boolean).join(", ")));
    box.g.setAttribute("aria-selected", String(chosen));
  },

  // move sets the visible section: at is the position and the scale of the whole.
  move(x, y, k) {
    this.at = { x, y, k: Math.max(0.05, Math.min(3, k)) };
    this.fitted = false;
    $("graph-all").setAttribute("transform", `translate(${this.at.x},${this.at.y}) scale(${this.at.k})`);
  },

  // fit shows as much as is legible, from the beginning.
  fit() {
    const { clientWidth: w, clientHeight: h } = $("graph");
    if (!w || !h) return;
    const k = Math.max(this.legible, Math.min(1, (w - 24) / this.size.w, (h - 24) / this.size.h));
    this.move(Math.max(12, (w - k * this.size.w) / 2), Math.max(12, (h - k * this.size.h) / 2), k);
    this.fitted = true;
  },

  // resized fits the graph into its new room, unless a person has moved it, and keeps
  // the chosen box in view.
  resized(view) {
    if (!this.size) return;
    if (!this.at || this.fitted) this.fit();
    this.bring(view.chosen);
  },

  zoom(factor, x = $("graph").clientWidth / 2, y = $("graph").clientHeight / 2) {
    const k = Math.max(0.05, Math.min(3, this.at.k * factor));
    const f = k / this.at.k;
    this.move(x - f * (x - this.at.x), y - f * (y - this.at.y), k);
  },

  // bring moves the box of a node into view, if it has one.
  bring(id) {
    const box = this.drawn.get(id);
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
    $("graph").setAttribute("aria-activedescendant", box.g.id);
  },

  // reveal draws a node, with all containers around it open at the part that has it,
  // and brings it into view at a legible size.
  reveal(view, id) {
    const model = view.shown;
    let n = model.find(id);
    for (const container of model.above(n)) {
      this.folded.delete(container.id);
      const place = graphLayout.candidates(model, container.index, view.keep).indexOf(n.index);
      this.parts.set(container.id, Math.max(0, Math.floor(place / graphLayout.most)));
      n = container;
    }
    this.draw(view);
    if (this.at && this.at.k < this.legible) this.zoom(this.legible / this.at.k);
    this.bring(id);
  },

  // turn draws another part of a container, if there is one, and brings its first node
  // into view. It returns the ID of that node.
  turn(view, container, part) {
    const all = graphLayout.candidates(view.shown, view.shown.byID.get(container), view.keep);
    const first = view.shown.nodes[all[part * graphLayout.most]]?.id;
    if (first === undefined) return;
    this.parts.set(container, part);
    this.draw(view);
    this.bring(first);
    return first;
  },

  toggle(view, id) {
    if (!this.isContainer(view.shown, view.shown.find(id))) return;
    if (!this.folded.delete(id)) this.folded.add(id);
    view.drawRows();
    view.remember();
    this.bring(id);
  },

  // step returns the ID of the nearest box in a direction from the chosen one.
  step(view, dx, dy) {
    const from = this.drawn.get(view.chosen);
    if (!from) return [...this.drawn.keys()][0];
    let [best, least] = [undefined, Infinity];
    const middle = (b) => [b.x + Math.min(b.w, graphLayout.box.w) / 2, b.y + Math.min(b.h, 46) / 2];
    const [fx, fy] = middle(from);
    for (const [id, box] of this.drawn) {
      const [x, y] = middle(box);
      const along = (x - fx) * dx + (y - fy) * dy;
      const across = Math.abs((x - fx) * dy) + Math.abs((y - fy) * dx);
      if (along > 4 && along + 3 * across < least) [best, least] = [id, along + 3 * across];
    }
    return best;
  },

  action(view, event) {
    const chosen = view.shown.find(view.chosen);
    const choose = (id) => {
      if (id === undefined) return;
      view.chosen = id;
      if (!$("details").hidden) view.choose(id);
      this.draw(view);
      this.bring(id);
    };
    const go = (dx, dy) => () => choose(this.step(view, dx, dy));
    const turn = (by) => () => {
      const container = (chosen && view.shown.above(chosen)[0]) || view.shown.root;
      choose(this.turn(view, container.id, (this.parts.get(container.id) || 0) + by));
    };
    return new Map(Object.entries({
      ArrowRight: go(1, 0), ArrowLeft: go(-1, 0), ArrowDown: go(0, 1), ArrowUp: go(0, -1),
      PageDown: turn(1), PageUp: turn(-1),
      Home: () => this.fit(),
      Enter: () => chosen && view.choose(chosen.id),
      " ": () => chosen && this.toggle(view, chosen.id),
      Escape: () => view.choose(null),
    })).get(event.key);
  },
};

// Pointers: one drags, two zoom, and a click chooses or folds.
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
    const g = e.target.closest(".gnode, .gpart");
    if (!g || moved > 4) return;
    if (g.dataset.part) graphView.turn(taskView, g.dataset.container, +g.dataset.part);
    else if (e.target.classList.contains("gfold")) graphView.toggle(taskView, g.dataset.node);
    else taskView.choose(g.dataset.node);
  });
  box.addEventListener("dblclick", (e) => {
    const g = e.target.closest(".gnode");
    if (g) graphView.toggle(taskView, g.dataset.node);
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
