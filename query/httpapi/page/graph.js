// Where the boxes and arrows of a graph lie. Each container is laid out by
// itself, since arrows join only nodes of the same container, and then takes its
// place as a box in the one above.
const graphLayout = {
  box: { w: 168, h: 46 },
  pad: 14,
  head: 26, // of an open container, above what is in it
  most: 400, // boxes drawn in a container; the others are counted

  // of is the layout of the root: its boxes and arrows, absolute.
  of(model, folded, down) {
    const context = { model, folded, down, boxes: [], arrows: [] };
    const inside = this.inside(context, 0);
    this.place(context, inside, 0, 0);
    return { ...inside, boxes: context.boxes, arrows: context.arrows };
  },

  // inside lays out the nodes of a container, from (0, 0).
  inside(context, container) {
    const { model } = context;
    const all = model.children[container];
    const shown = all.slice(0, this.most);
    const cells = shown.map((index) => this.cell(context, index));
    if (all.length > shown.length) cells.push({ more: all.length - shown.length, container, ...this.box });
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
    return arrows.length ? this.layered(cells, arrows, context.down) : this.grid(cells, context.down);
  },

  cell(context, index) {
    const { model, folded } = context;
    if (!model.children[index].length || folded.has(model.nodes[index].id)) return { index, ...this.box };
    const inside = this.inside(context, index);
    return { index, inside, w: Math.max(inside.w, this.box.w) + 2 * this.pad, h: inside.h + this.head + this.pad };
  },

  // layered puts nodes behind those that lead to them. A way back is drawn, but
  // does not say what comes first.
  layered(cells, arrows, down) {
    const g = new dagre.graphlib.Graph({ multigraph: true });
    g.setGraph({ rankdir: down ? "TB" : "LR", nodesep: 18, ranksep: 44, edgesep: 12 });
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
      a.points = a.back ? points.toReversed() : points;
    });
    const { width, height } = g.graph();
    return { w: width, h: height, cells, arrows };
  },

  // around is the way from a node to itself.
  around({ x, y, w, h }) {
    return [{ x: x + w * 0.7, y: y + h }, { x: x + w * 0.7, y: y + h + 14 }, { x: x + w * 0.3, y: y + h + 14 }, { x: x + w * 0.3, y: y + h }];
  },

  // grid puts nodes that nothing is known about in the order of creation.
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

// outline is the shape of a box: what a node is, whatever its color.
function outline(kind, { w, h }) {
  if (kind.endsWith("_gateway")) return svgElement("polygon", { points: `0,${h / 2} 14,0 ${w - 14},0 ${w},${h / 2} ${w - 14},${h} 14,${h}` });
  return svgElement("rect", { width: w, height: h, rx: kind.endsWith("_event") ? h / 2 : 6 });
}

// clip is text of at most so many characters.
const clip = (text, most) => ([...text].length > most ? [...text].slice(0, most - 1).join("") + "…" : text);
