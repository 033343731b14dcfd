// The rows of a task in the tree and, with bars on a time axis, in the timeline.
const treeView = {
  height: () => (matchMedia("(max-width: 720px)").matches ? 44 : 28),

  fill(row, view, at) {
    const { id, level } = view.order[at];
    const model = view.shown;
    const n = model.find(id);
    if (!n) return; // the next frame has other rows
    const container = model.children[n.index].length > 0;
    row.className = id === view.chosen ? "row chosen" : "row";
    row.dataset.node = id;
    row.id = "row-" + n.index;
    row.role = "treeitem";
    row.ariaLevel = level + 1;
    row.ariaSelected = n.id === view.chosen;
    row.ariaExpanded = container ? !view.folded.has(n.id) : null;
    const name = element("span", "name");
    name.style.paddingLeft = level * 18 + "px";
    name.append(element("span", "fold", container ? (view.folded.has(n.id) ? "▸" : "▾") : ""), apart(nameOf(n)));
    if (n.name) name.append(" ", element("span", "kind", kindLabel(n.kind)));
    name.title = clean(nameOf(n));
    const took = element("span", "duration", model.duration(n, view.now()));
    took.title = usual.long(n) && "usually " + usual.long(n);
    if (view.tab === "timeline") return renew(row, name, this.track(view, n), stateBadge(n.state), took);
    renew(row, name, this.notes(view, n), stateBadge(n.state), took, element("span", "usual", usual.short(n)));
  },

  notes(view, n) {
    const late = view.late(n);
    const notes = element("span", n.error && !n.error_ignored ? "notes bad" : late.length ? "notes late" : "notes");
    notes.append(apart([...late, ...remarks(n), n.note && "waits for " + n.note, n.cause.slice(0, 300)].filter(Boolean).join(" · ")));
    notes.title = clean(n.note || n.cause);
    return notes;
  },

  track(view, n) {
    const track = element("span", "track");
    const [from, to] = view.scale;
    const bar = (a, end, old) => {
      const start = milliseconds(a.start_time || "");
      if (!start || start > to || end < from) return;
      const bar = element("span", "bar " + a.state + (old ? " old" : ""));
      const left = Math.max(start - from, 0);
      bar.style.left = (100 * left) / (to - from) + "%";
      bar.style.width = (100 * Math.max(Math.min(end, to) - from - left, 0)) / (to - from) + "%";
      bar.title = a.state + " " + showTime(a.start_time) + " " + showDuration(end - start);
      track.append(bar);
    };
    const now = view.now();
    for (const a of view.live.attempts(n.id)) {
      if (!view.past || milliseconds(a.start_time || "") < (n.began || view.pastTime)) bar(a, milliseconds(a.finish_time || "") || now, true);
    }
    bar(n, view.shown.end(n, now), false);
    return track;
  },

  // drawAxis leaves out the last text if it does not fit.
  drawAxis(view) {
    const axis = this.axis(view);
    $("axis").replaceChildren(axis);
    const track = axis.querySelector(".track");
    const last = track.lastChild;
    if (last && last.offsetLeft + last.offsetWidth > track.clientWidth) last.textContent = "";
  },

  // axis marks round times above the bars, as a row like the others.
  axis(view) {
    const [from, to] = view.scale;
    const [whole] = view.shown.span(view.now());
    const most = matchMedia("(max-width: 720px)").matches ? 3 : 8;
    const step = roundStep((to - from) / most);
    const track = element("span", "track");
    let last = -Infinity;
    for (let t = Math.ceil((from - whole) / step) * step; t < to - whole; t += step) {
      const tick = element("span", "tick", tickText(t, step, last));
      last = t;
      tick.style.left = (100 * (t + whole - from)) / (to - from) + "%";
      track.append(tick);
    }
    const line = element("div", "row");
    line.append(element("span", "name"), track, element("span", "state"), element("span", "duration"));
    return line;
  },
};
