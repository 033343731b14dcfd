// The positions of the boxes and arrows of a graph. Each container is laid out by
// itself, since arrows join only nodes of the same container. Then it is a box in the
// container above. Of a container with very many nodes, one part is drawn at a time.
const graphLayout = {
  box: { w: 200, h: 46 },
  pad: 14,
  head: 26, // of an open container, above what is in it
  most: 400, // nodes in a part of a container

  // of is the layout of a task: its boxes and arrows with absolute positions. The view
  // has the folded nodes and, by ID of a container, the number of its part; keep is
  // what a filter lets through, null for all.
  of(model, { folded, parts }, keep, down) {
    const context = { model, folded, parts, keep, down, boxes: [], arrows: [] };
    const inside = this.inside(context, 0);
    this.place(context, inside, 0, 0);
    return { ...inside, boxes: context.boxes, arrows: context.arrows };
  },

  // inside lays out the nodes of a container, from (0, 0).
  inside(context, container) {
    const { model } = context;
    const all = this.candidates(model, container, context.keep);
    const part = this.partOf(context, container, all);
    const shown = all.slice(part * this.most, (part + 1) * this.most);
    const cells = shown.map((index) => this.cell(context, index));
    const places = new Map(shown.map((index, i) => [index, i]));
    const arrows = [];
    shown.forEach((index, to) => {
      const n = model.nodes[index];
      const after = n.after || [];
      for (const from of after) if (places.has(from)) arrows.push({ from: places.get(from), to });
      // The current attempt came from elsewhere: on the way back, or by a flow
      // that nobody declared.
      if (n.from && places.has(n.from) && !after.includes(n.from)) arrows.push({ from: places.get(n.from), to, back: n.from >= index });
    });
    const layout = arrows.length ? this.layered(cells, arrows, context.down) : this.grid(cells, context.down);
    const further = (to, side, from, until) => this.further(layout, context.down, side, { to, container, from, until, count: all.length, ...this.box });
    if (part > 0) further(part - 1, "before", (part - 1) * this.most, part * this.most);
    if (all.length > (part + 1) * this.most) further(part + 1, "after", (part + 1) * this.most, Math.min((part + 2) * this.most, all.length));
    return layout;
  },

  // candidates are the nodes of a container that can be drawn. Of those in several
  // parts, a filter leaves only the ones that it lets through.
  candidates(model, container, keep) {
    const all = model.children[container];
    return keep && all.length > this.most ? all.filter((index) => keep[index]) : all;
  },

  // partOf is the number of the part that is drawn.
  partOf({ model, parts }, container, all) {
    const last = Math.max(0, Math.ceil(all.length / this.most) - 1);
    return Math.min(parts.get(model.nodes[container].id) || 0, last);
  },

  // further puts the box that leads to another part next to a layout.
  further(layout, down, side, box) {
    const [x, y, w, h] = down ? ["y", "x", "h", "w"] : ["x", "y", "w", "h"];
    const room = box[w] + 32;
    if (side === "before") {
      for (const cell of layout.cells) cell[x] += room;
      for (const a of layout.arrows) for (const p of a.points) p[x] += room;
    }
    layout.cells.push({ ...box, [x]: side === "before" ? 0 : layout[w] + 32, [y]: Math.max(0, (layout[h] - box[h]) / 2) });
    layout[w] += room;
    layout[h] = Math.max(layout[h], box[h]);
  },

  cell(context, index) {
    const { model, folded } = context;
    if (!model.children[index].length || folded.has(model.nodes[index].id)) return { index, ...this.box };
    const inside = this.inside(context, index);
    return { index, inside, w: Math.max(inside.w, this.box.w) + 2 * this.pad, h: inside.h + this.head + this.pad };
  },

  // layered puts nodes after those that lead to them. A way back is drawn but does not
  // affect the order.
  layered(cells, arrows, down) {
    const g = new dagre.graphlib.Graph({ multigraph: true });
    g.setGraph({ rankdir: down ? "TB" : "LR", nodesep: 18, ranksep: 32, edgesep: 12 });
    g.setDefaultEdgeLabel(() => ({}));
    cells.forEach((cell, i) => g.setNode(i, { width: cell.w, height: cell.h }));
    arrows.forEach((a, i) => {
      if (!a.back) g.setEdge(a.from, a.to, { weight: 2 }, String(i));
      else if (a.from !== a.to) g.setEdge(a.to, a.from, { weight: 0 }, String(i));
    });
    dagre.layout(g);
    cells.forEach((cell, i) => {
      const { x, y } = g.node(i);
      Object.assign(cell, { x: x - cell.w / 2, y: y - cell.h / 2 });
    });
    arrows.forEach((a, i) => {
      if (a.from === a.to) return (a.points = this.around(cells[a.from]));
      const { points } = a.back ? g.edge(a.to, a.from, String(i)) : g.edge(a.from, a.to, String(i));
      a.points = (a.back ? points.toReversed() : points).map((p) => ({ ...p }));
    });
    const { width, height } = g.graph();
    return { w: width, h: height, cells, arrows };
  },

  // around is the path of an arrow from a node to itself.
  around({ x, y, w, h }) {
    return [{ x: x + w * 0.7, y: y + h }, { x: x + w * 0.7, y: y + h + 14 }, { x: x + w * 0.3, y: y + h + 14 }, { x: x + w * 0.3, y: y + h }];
  },

  // grid puts nodes without recorded flows in the order of creation.
  grid(cells, down) {
    const columns = down ? 1 : Math.max(1, Math.min(6, Math.ceil(Math.sqrt(cells.length))));
    let [y, w, h] = [0, 0, 0];
    for (let i = 0; i < cells.length; i += columns) {
      let x = 0;
      const row = cells.slice(i, i + columns);
      for (const cell of row) {
        Object.assign(cell, { x, y });
        x += cell.w + 18;
      }
      w = Math.max(w, x - 18);
      h = y + Math.max(...row.map((cell) => cell.h));
      y = h + 18;
    }
    return { w, h, cells, arrows: [], unordered: cells.length > 1 };
  },

  place(context, inside, dx, dy) {
    for (const cell of inside.cells) {
      const box = { ...cell, x: cell.x + dx, y: cell.y + dy };
      context.boxes.push(box);
      if (cell.inside) this.place(context, cell.inside, box.x + (cell.w - cell.inside.w) / 2, box.y + this.head);
    }
    for (const a of inside.arrows) {
      context.arrows.push({
        back: a.back, from: inside.cells[a.from].index, to: inside.cells[a.to].index,
        points: a.points.map((p) => ({ x: p.x + dx, y: p.y + dy })),
      });
    }
  },
};

const svgElement = (tag, attributes, text) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  if (text !== undefined) e.textContent = text;
  return e;
};

// outline is the shape of a box, which depends on the kind of its node.
function outline(kind, { w, h }) {
  if (kind.endsWith("_gateway")) return svgElement("polygon", { points: `0,${h / 2} 14,0 ${w - 14},0 ${w},${h / 2} ${w - 14},${h} 14,${h}` });
  return svgElement("rect", { width: w, height: h, rx: kind.endsWith("_event") ? h / 2 : 6 });
}

// textWidth is the width of a text in pixels, in a font of the page such as "600 13px".
const textWidth = (() => {
  const canvas = document.createElement("canvas").getContext("2d");
  const family = getComputedStyle(document.body).fontFamily;
  return (text, font) => {
    canvas.font = font + " " + family;
    return canvas.measureText(text).width;
  };
})();

// fitText is a text in at most so many pixels, with … where it is cut.
function fitText(text, width, font) {
  if (textWidth(text, font) <= width) return text;
  const letters = [...new Intl.Segmenter().segment(text.slice(0, 200))].map((s) => s.segment);
  const cut = (count) => letters.slice(0, count).join("") + "…";
  let [least, most] = [0, letters.length];
  while (least < most) {
    const middle = Math.ceil((least + most) / 2);
    if (textWidth(cut(middle), font) <= width) least = middle;
    else most = middle - 1;
  }
  return cut(least);
}
