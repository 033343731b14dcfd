// The means to find a node: a filter, the counts by state, folding and jumps.
const finding = {
  text: "",
  states: new Set(),
  quiet: false, // without events and gateways
  folded: new Set(),

  // open reads the filter from the address.
  open(params) {
    this.text = params.get("q") || "";
    this.states = new Set(params.getAll("show"));
    this.quiet = params.get("quiet") === "1";
    this.folded = new Set();
    $("find").value = this.text;
    $("quiet").checked = this.quiet;
  },

  remember(params) {
    if (this.text) params.set("q", this.text);
    for (const state of this.states) params.append("show", state);
    if (this.quiet) params.set("quiet", "1");
    if (this.finishedFolded()) params.set("fold", "finished");
  },

  clear() {
    this.text = $("find").value = "";
    this.states.clear();
    this.quiet = $("quiet").checked = false;
    this.changed();
  },

  changed() {
    if (!taskView.live) return;
    taskView.draw();
    taskView.remember();
  },

  // filtered shows the filtered nodes from the first one on.
  filtered() {
    $("rows").scrollTop = 0;
    this.changed();
  },

  fold(id, folded) {
    if (folded) this.folded.add(id);
    else this.folded.delete(id);
  },

  // foldFinished folds all finished containers. If all are folded, it unfolds
  // everything.
  foldFinished() {
    const [done, folded] = [this.unfolded(), this.folds()];
    if (done.length) done.forEach((n) => folded.add(n.id));
    else folded.clear();
    this.changed();
  },

  // finishedFolded reports whether all finished containers are folded in the rows,
  // except for those around the chosen node.
  finishedFolded() {
    const [model, chosen] = [taskView.shown, taskView.shown.find(taskView.chosen)];
    const around = chosen ? model.above(chosen) : [];
    const done = this.finished().filter((n) => !around.includes(n));
    return done.length > 0 && done.every((n) => this.folded.has(n.id));
  },

  // folds holds the IDs of the folded nodes of the current tab.
  folds() {
    return taskView.tab === "graph" ? graphView.folded : this.folded;
  },

  // finished returns the finished containers, whatever their kind.
  finished() {
    const model = taskView.shown;
    return model.nodes.filter((n) => n.index && n.state === "FINISHED" && model.children[n.index].length);
  },

  unfolded() {
    const folded = this.folds();
    return this.finished().filter((n) => !folded.has(n.id));
  },

  // drawCounts draws the buttons that show only the nodes in a state.
  drawCounts(counts) {
    counters($("t-counts"), counted(counts), this.states, (s) => stateBadge(s, counts[s] + " " + s), (s) => {
      if (!this.states.delete(s)) this.states.add(s);
      if (taskView.tab === "json" || taskView.tab === "compare") taskView.show("tree");
      this.filtered();
    });
  },

  jumps: {
    "next-failure": (model, id) => model.next(id, (n) => n.state === "FAILED"),
    "next-running": (model, id) => model.next(id, (n) => n.state === "RUNNING"),
    "longest-running": (model) => model.longest(),
    "next-late": (model, id) => model.next(id, (n) => usual.late(n, taskView.now())),
  },

  drawJumps(model) {
    $("next-failure").disabled = !model.root.counts?.FAILED;
    $("next-running").disabled = $("longest-running").disabled = !model.root.counts?.RUNNING;
    const [done, folded] = [this.unfolded().length, this.folds().size];
    $("fold-finished").textContent = done || !folded ? "Fold finished" : "Unfold all";
    $("fold-finished").disabled = !done && !folded;
  },

  jump(id) {
    if (!taskView.live) return;
    const n = this.jumps[id](taskView.shown, taskView.chosen);
    if (n) taskView.reveal(n.id);
  },
};

$("find").addEventListener("input", () => {
  finding.text = $("find").value;
  finding.filtered();
});
$("quiet").addEventListener("change", () => {
  finding.quiet = $("quiet").checked;
  finding.filtered();
});
$("fold-finished").addEventListener("click", () => taskView.live && finding.foldFinished());
for (const id of Object.keys(finding.jumps)) $(id).addEventListener("click", () => finding.jump(id));

// timeWindow is the part of the time that the timeline shows.
const timeWindow = {
  reset() {
    this.from = 0; // parts of the whole
    this.to = 1;
  },

  of([from, to]) {
    const all = to - from;
    return [from + this.from * all, Math.max(from + this.to * all, from + this.from * all + 1)];
  },

  zoom(factor, around = 0.5) {
    const width = Math.min(1, Math.max(1e-4, (this.to - this.from) * factor));
    const middle = this.from + (this.to - this.from) * around;
    this.shift(middle - width * around, width);
  },

  shift(from, width = this.to - this.from) {
    this.from = Math.max(0, Math.min(from, 1 - width));
    this.to = this.from + width;
    taskView.drawRows();
  },
};
timeWindow.reset();

// The buttons for zoom serve the timeline and the graph.
const zooms = {
  "zoom-in": () => (taskView.tab === "graph" ? graphView.zoom(1.4) : timeWindow.zoom(0.5)),
  "zoom-out": () => (taskView.tab === "graph" ? graphView.zoom(1 / 1.4) : timeWindow.zoom(2)),
  "zoom-all": () => (taskView.tab === "graph" ? graphView.fit() : timeWindow.zoom(1e9)),
  "zoom-left": () => (taskView.tab === "graph" ? graphView.move(graphView.at.x + 160, graphView.at.y, graphView.at.k) : timeWindow.shift(timeWindow.from - (timeWindow.to - timeWindow.from) / 3)),
  "zoom-right": () => (taskView.tab === "graph" ? graphView.move(graphView.at.x - 160, graphView.at.y, graphView.at.k) : timeWindow.shift(timeWindow.from + (timeWindow.to - timeWindow.from) / 3)),
};
for (const [id, act] of Object.entries(zooms)) $(id).addEventListener("click", () => taskView.live && act());
$("axis").addEventListener("wheel", (e) => {
  const box = $("axis").querySelector(".track").getBoundingClientRect();
  timeWindow.zoom(e.deltaY < 0 ? 0.8 : 1.25, Math.min(1, Math.max(0, (e.clientX - box.left) / box.width)));
  e.preventDefault();
});
