// Another run of the pipeline next to this one, node by node.
const compareView = {
  open(params) {
    this.with = params.get("with") || "";
    this.only = params.get("only") === "1";
    this.candidates = null;
    this.forget();
  },

  forget() {
    this.nodes = [];
    this.other = null;
    this.loadedAt = "";
  },

  remember(params) {
    if (this.with) params.set("with", this.with);
    if (usual.like) params.set("like", usual.like);
    if (this.only) params.set("only", "1");
  },

  // load reads the comparison, again when the task has changed.
  async load(view) {
    if (!this.candidates) await this.loadCandidates(view);
    const [other, position] = [this.with, view.live.position];
    if (!other || this.loadedAt === other + position || Date.now() < this.notBefore) return view.draw();
    this.notBefore = Date.now() + 5000;
    const data = await view.attempt(() => load("compare", { ...view.query, with: other }, view.opened.signal));
    if (other !== this.with) return;
    if (!data) return this.forget();
    problem("");
    this.loadedAt = other + position;
    this.other = data.a;
    this.nodes = data.nodes;
    view.draw();
  },

  // loadCandidates reads the runs like this one, the last started one first, and
  // chooses the one that started before it.
  async loadCandidates(view) {
    const [of, like] = [usual.query(view.live), usual.like];
    this.candidates = [];
    const query = { bk_biz_id: view.query.bk_biz_id, limit: 50, sort: "-started", ...of };
    const list = of && (await view.attempt(() => load("tasks", query, view.opened.signal)));
    if (like !== usual.like) return;
    const started = (t) => milliseconds(t.start_time || t.recorded_time);
    const before = (t) => started(t) < (view.live.root.began || Infinity);
    const others = (list?.tasks || []).filter((t) => t.task_id !== view.live.task);
    this.candidates = others;
    if (!this.with) this.choose(view, (others.find(before) || others[0])?.task_id || "");
    this.drawChoice(view);
  },

  choose(view, task) {
    this.with = task;
    this.notBefore = 0;
    this.forget();
    view.remember();
  },

  // drawChoice offers the runs, and the labels by which to find them.
  drawChoice(view) {
    const option = (value, text) => {
      const o = element("option", "", text);
      o.value = value;
      return o;
    };
    const runs = this.candidates.map((t) => option(t.task_id, [t.task_id, t.state.toLowerCase(), showTime(t.start_time || t.recorded_time)].join(" · ")));
    if (this.with && !this.candidates.some((t) => t.task_id === this.with)) runs.unshift(option(this.with, this.with));
    if (!runs.length) runs.push(option("", "no other run"));
    $("with").replaceChildren(...runs);
    $("with").value = this.with;
    const labels = Object.entries(view.live.labels || {}).map(([k, v]) => k + "=" + v);
    if (usual.like && !labels.includes(usual.like)) labels.push(usual.like);
    $("like").replaceChildren(option("", view.live.root.name ? "name" : "labels"), ...labels.map((l) => option(l, "label " + l)));
    $("like").value = usual.like;
    $("only").checked = this.only;
  },

  draw(view) {
    const shown = this.only ? this.nodes.filter((n) => n.differs) : this.nodes;
    this.shown = shown;
    view.order = shown.map((n) => ({ id: n.b?.node_id }));
    $("no-rows").hidden = shown.length > 0;
    $("no-rows").textContent = this.other ? "The runs do not differ." : "Choose another run to compare this one with.";
    const head = element("div", "row");
    const link = element("a", "", this.other || "");
    if (this.other) link.href = "#/task?" + new URLSearchParams({ bk_biz_id: view.query.bk_biz_id, task_id: this.other });
    const [a, b] = [element("span", "side"), element("span", "side")];
    a.append("run ", link);
    b.append("this run ", apart(view.live.task));
    head.append(element("span", "name", "Node"), a, b, element("span", "difference", "Difference"));
    renew($("compare-head"), head);
    rows.set(shown.length, matchMedia("(max-width: 720px)").matches ? 72 : 30);
  },

  fill(row, view, at) {
    const n = this.shown[at];
    if (!n) return; // the next frame has other rows
    row.className = "row" + (n.differs ? " differs" : "") + (n.b && n.b.node_id === view.chosen ? " chosen" : "");
    if (n.b) row.dataset.node = n.b.node_id;
    else delete row.dataset.node;
    row.id = "row-" + at;
    row.role = "listitem";
    row.ariaLevel = row.ariaSelected = row.ariaExpanded = null;
    const name = element("span", "name");
    const title = n.name || (n.path.length ? kindLabel(n.kind) : "the whole");
    // A node of the other run alone is named with its containers, which have no rows.
    const above = n.b ? "" : n.path.slice(0, -1).map((p) => p.replace(/^<class '.*\.(\w+)'>$/, "$1") + " / ").join("");
    if (n.b) name.style.paddingLeft = n.path.length * 18 + "px";
    name.append(apart(above + title));
    if (n.name && n.path.length) name.append(" ", element("span", "kind", kindLabel(n.kind)));
    name.title = clean(above + title);
    renew(row, name, this.side(n.a), this.side(n.b), this.difference(n));
  },

  side(s) {
    const box = element("span", "side");
    if (!s) {
      box.append(element("span", "hint", "– not in this run"));
      return box;
    }
    box.append(stateBadge(s.state), element("span", "took", s.start_time ? showDuration(1000 * s.seconds) : ""));
    const notes = remarks(s).join(" · ");
    if (notes) box.append(element("span", "kind", notes));
    box.title = [s.state, notes, s.error && cause(s.error)].filter(Boolean).join("\n");
    return box;
  },

  difference({ a, b }) {
    const parts = [];
    const both = a && b;
    // An attempt that failed early is not a faster one.
    if (both && a.start_time && b.start_time && a.state === "FINISHED" && b.state === "FINISHED") {
      const more = 1000 * (b.seconds - a.seconds);
      if (Math.abs(more) >= 50) parts.push((more > 0 ? "+" : "−") + showDuration(Math.abs(more)));
    }
    const attempts = (s) => s.loop + (s.retry || 0);
    if (both && attempts(a) !== attempts(b)) parts.push(attempts(a) + " → " + attempts(b) + " attempts");
    const error = b?.error || a?.error;
    const box = element("span", error ? "difference bad" : "difference");
    if (error) parts.push(cause(error).slice(0, 300));
    box.append(apart(parts.join(" · ")));
    box.title = parts.join("\n");
    return box;
  },
};

$("with").addEventListener("change", () => {
  compareView.choose(taskView, $("with").value);
  compareView.load(taskView);
});
$("with-other").addEventListener("change", () => {
  const task = $("with-other").value.trim();
  if (!task) return;
  compareView.choose(taskView, task);
  compareView.drawChoice(taskView);
  compareView.load(taskView);
});
$("like").addEventListener("change", () => {
  usual.like = $("like").value;
  usual.forget();
  usual.load(taskView);
  compareView.candidates = null;
  compareView.choose(taskView, "");
  compareView.load(taskView);
});
$("only").addEventListener("change", () => {
  compareView.only = $("only").checked;
  taskView.draw();
  taskView.remember();
});
