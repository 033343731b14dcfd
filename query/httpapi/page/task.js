// One task: its summary, the tabs, the chosen node and the point in time.
const taskView = {
  tabs: ["tree", "timeline", "graph", "compare", "json"],

  async open(params) {
    this.query = { bk_biz_id: params.get("bk_biz_id") || "", task_id: params.get("task_id") || "" };
    this.live = this.past = null;
    this.order = [];
    this.chosen = null;
    this.json = [];
    this.tab = "tree";
    this.opened = new AbortController();
    finding.open(params);
    usual.open(params);
    compareView.open(params);
    timeWindow.reset();
    detailsView.open(null);
    $("slider").value = 1000;
    this.clear();
    mark("", "loading");
    const outage = new Outage();
    const opened = this.opened.signal;
    let then = null;
    while (!this.live) {
      try {
        await zone.learn(opened);
        const story = await load("task", this.query, opened);
        learnClock(story.now);
        if (params.has("as_of")) then = moment(params.get("as_of"));
        if (Number.isNaN(then)) throw new Refused(unreadable("as_of", params.get("as_of"), aTime));
        if (then > serverNow()) then = serverNow(); // nothing is known of the future
        const past = then !== null && (await load("task", { ...this.query, as_of: new Date(then).toISOString() }, opened));
        if (opened.aborted) return;
        this.live = new Model(story);
        if (past) this.setPast(then, past);
      } catch (e) {
        if (opened.aborted || e instanceof SignedOut) return outage.end();
        if (e instanceof Refused) {
          outage.end();
          return nothing(e.message);
        }
        await outage.after(Outage.reason(e), opened);
        if (opened.aborted) return outage.end();
      }
    }
    outage.over();
    $("task").hidden = false;
    if (params.get("fold") === "finished") for (const n of finding.finished()) finding.fold(n.id, true);
    graphView.open(this.live);
    this.follow();
    this.show(params.get("tab") || "tree");
    const node = this.shown.find(params.get("node_id"));
    if (node && (this.tab === "json" || this.tab === "compare")) this.choose(node.id);
    else if (node) this.reveal(node.id);
    if (then !== null) this.moved();
    usual.tick(this);
    this.timer = setInterval(() => this.tick(), 1000);
  },

  close() {
    this.opened.abort();
    this.stream?.close();
    this.stream = null;
    clearInterval(this.timer);
    clearTimeout(this.sliding);
  },

  clear() {
    $("task").hidden = true;
    for (const id of ["t-state", "t-name", "t-where", "t-usual", "t-counts", "t-labels", "moment-text"]) $(id).textContent = "";
    $("t-state").className = "state";
    rows.set(0, 28);
  },

  // shown is the model that is looked at, of the present or of a past moment.
  get shown() {
    return this.past || this.live;
  },

  // now is the moment of what is shown. While the server does not answer, that is when
  // the outage began.
  now() {
    return this.past ? this.pastTime : this.stream?.outage.since ?? serverNow();
  },

  // late is the remark about a node that is late.
  late(n) {
    return !this.past && usual.late(n, this.now()) ? ["late"] : [];
  },

  follow() {
    this.stream = new Stream(this.query, () => this.live, {
      live: () => {
        this.showMark();
        if (detailsView.attemptsOf === "") this.changed();
      },
      gone: () => {
        this.stream = null;
        mark("", "deleted");
        problem("This task was deleted.");
      },
      snapshot: (story) => {
        learnClock(story.now);
        this.live.reset(story);
        this.changed();
        if (this.tab === "timeline") this.loadTimeline();
      },
      transition: (moved) => {
        learnClock(moved.now);
        this.live.apply(moved);
        usual.moved();
        this.changed();
      },
    });
  },

  showMark() {
    if (!this.stream?.alive) return;
    if (this.past) mark("past", "in the past");
    else mark("live", "live");
  },

  // changed draws at most once a frame, even if there are many events.
  changed() {
    this.drawing ||= requestAnimationFrame(() => {
      this.drawing = 0;
      if (this.live) this.draw();
    });
    if (document.hidden && this.live) this.drawTitle();
  },

  tick() {
    if (!this.past && this.live && !document.hidden) this.draw();
    if (!this.past && this.live) usual.tick(this);
    if (this.tab === "json" && !this.past && this.jsonPosition !== this.live?.position) this.loadJSON();
    if (this.tab === "compare" && !document.hidden) compareView.load(this);
  },

  drawTitle() {
    const root = this.shown.root;
    document.title = root.state + " \u2068" + clean(root.name || this.query.task_id) + "\u2069 – pipestatus";
  },

  draw() {
    const model = this.shown;
    const root = model.root;
    $("t-state").className = "state " + root.state;
    $("t-state").textContent = root.state;
    $("t-name").textContent = $("t-name").title = clean(root.name || this.query.task_id);
    this.drawTitle();
    const rest = [model.story(this.now()), progressText(root, this.past ? 0 : usual.steps)].filter(Boolean).join(" · ");
    renew($("t-where"), "business ", apart(this.query.bk_biz_id), " · task ", apart(this.query.task_id), " · " + rest, ...(root.note ? [" · waits for ", apart(root.note)] : []));
    renew($("t-labels"), ...Object.entries(model.labels || {}).map(([k, v]) => labelLink(k, v)));
    usual.draw(this);
    finding.drawCounts(root.counts || {});
    finding.drawJumps(model);
    this.drawMoment();
    this.drawRows();
    detailsView.draw(this);
    this.drawActions();
  },

  drawActions() {
    const task = { bk_biz_id: this.query.bk_biz_id, task_id: this.live.task };
    actionsView.draw(this, this.shown, this.chosen && this.shown.find(this.chosen), task);
  },

  drawMoment() {
    const model = this.shown;
    const step = model.last;
    const by = step?.actor ? " by " + clean(step.actor) : "";
    if (this.past) {
      const node = step && model.find(step.node_id);
      $("moment-text").textContent = showTime(this.pastTime, true) + (step ? " · after " + step.op + (node ? " of " + clean(nameOf(node)) : "") + by : "");
    } else $("moment-text").textContent = step ? "now · last: " + step.op + by + " at " + showTime(step.time) : "now";
    $("to-now").hidden = !this.past;
    $("slider").disabled = !this.live.root.start_time;
    $("slider").setAttribute("aria-valuetext", $("moment-text").textContent);
  },

  drawRows() {
    if (this.tab === "json") return rows.set(this.json.length, 20);
    if (this.tab === "compare") return compareView.draw(this);
    const model = this.shown;
    this.keep = model.matching(finding);
    this.order = model.visible(finding.folded, this.keep);
    $("no-rows").hidden = !this.keep || this.order.length > 1;
    $("no-rows").textContent = "No node fits the filter.";
    if (this.tab === "graph") return graphView.draw(this);
    this.scale = timeWindow.of(model.span(this.now()));
    rows.set(this.order.length, treeView.height());
    if (this.tab === "timeline") treeView.drawAxis(this);
  },

  get folded() {
    return finding.folded;
  },

  fillRow(row, at) {
    if (this.tab === "compare") return compareView.fill(row, this, at);
    if (this.tab !== "json") return treeView.fill(row, this, at);
    row.className = "row";
    delete row.dataset.node;
    renew(row, this.json[at]);
  },

  // show opens a tab.
  show(tab) {
    this.tab = this.tabs.includes(tab) ? tab : "tree";
    for (const t of this.tabs) {
      $("tab-" + t).ariaSelected = t === this.tab;
      $("tab-" + t).tabIndex = t === this.tab ? 0 : -1;
    }
    $("view").className = this.tab;
    $("rows").role = { json: "document", compare: "list" }[this.tab] || "tree";
    $("axis").hidden = this.tab !== "timeline";
    $("zooms").hidden = this.tab !== "timeline" && this.tab !== "graph";
    $("graph-box").hidden = this.tab !== "graph";
    $("rows").hidden = this.tab === "graph";
    $("json-tools").hidden = this.tab !== "json";
    $("compare-tools").hidden = $("compare-head").hidden = this.tab !== "compare";
    $("finding").hidden = this.tab === "json" || this.tab === "compare";
    $("no-rows").hidden = true;
    $("rows").scrollTop = 0;
    if (this.tab === "json") this.loadJSON();
    if (this.tab === "compare") compareView.load(this);
    if (this.tab === "timeline") this.loadTimeline();
    this.draw();
    this.showChosen();
    if (this.tab === "graph" && this.shown.find(this.chosen)) graphView.reveal(this, this.chosen);
    this.remember();
  },

  // remember writes into the address what is shown.
  remember() {
    if (!this.live) return;
    const params = new URLSearchParams(this.query);
    if (this.tab !== "tree") params.set("tab", this.tab);
    if (this.chosen && !$("details").hidden) params.set("node_id", this.chosen);
    if (this.past) params.set("as_of", new Date(this.pastTime).toISOString());
    finding.remember(params);
    compareView.remember(params);
    history.replaceState(null, "", "#/task?" + params);
  },

  at() {
    return this.past ? { ...this.query, as_of: new Date(this.pastTime).toISOString() } : this.query;
  },

  async loadJSON() {
    const position = this.live.position;
    const text = await this.attempt(() => answer("status", this.at(), this.opened.signal));
    if (!text) return;
    this.jsonPosition = position;
    this.jsonText = text;
    this.json = escapeUnseen(indented(text)).split("\n");
    this.draw();
  },

  async loadTimeline() {
    const data = await this.attempt(() => load("timeline", this.query, this.opened.signal));
    if (!data) return;
    this.live.learn(data.superseded);
    this.draw();
  },

  // attempt loads data that is not needed at once. It returns null if that fails.
  async attempt(loading) {
    const opened = this.opened.signal;
    try {
      const data = await loading();
      return opened.aborted ? null : data;
    } catch (e) {
      if (!opened.aborted && e instanceof Refused) problem(e.message);
      return null;
    }
  },

  slide() {
    clearTimeout(this.sliding);
    const value = +$("slider").value;
    if (value >= 1000) return this.toNow();
    const [from, to] = this.live.span(serverNow());
    const time = Math.ceil(from + ((to - from) * value) / 1000);
    $("moment-text").textContent = showTime(time, true);
    this.sliding = setTimeout(() => +$("slider").value === value && this.goTo(time), 120);
  },

  // jump shows the task as of the time in the field, which may be written as in an
  // address.
  jump() {
    const time = moment($("at").value.trim());
    $("at").setCustomValidity(Number.isNaN(time) ? "This is not " + aTime + "." : "");
    if (!$("at").reportValidity() || !this.live) return;
    problem("");
    this.goTo(Math.min(time, serverNow()));
  },

  // goTo shows the task as of a past moment.
  async goTo(time) {
    const wanted = (this.wanted = time);
    const story = await this.attempt(() => load("task", { ...this.query, as_of: new Date(time).toISOString() }, this.opened.signal));
    if (!story || this.wanted !== wanted) return;
    this.setPast(time, story);
    this.moved();
  },

  setPast(time, story) {
    const [from, to] = this.live.span(serverNow());
    $("slider").value = Math.min(999, Math.floor((1000 * (time - from)) / (to - from)));
    this.pastTime = time;
    this.past = new Model(story);
  },

  toNow() {
    $("slider").value = 1000;
    this.wanted = this.past = null;
    this.moved();
  },

  moved() {
    this.showMark();
    this.draw();
    this.remember();
    if (this.tab === "json") this.loadJSON();
  },

  fold(id, folded) {
    finding.fold(id, folded);
    this.drawRows();
    this.remember();
  },

  // choose opens the details of a node, by its ID. null closes them.
  choose(id) {
    const n = this.shown?.find(id);
    this.chosen = n ? id : null;
    detailsView.open(n);
    if (this.live) this.drawActions();
    if (this.tab === "graph") {
      graphView.draw(this);
      graphView.bring(id);
    }
    this.showChosen(); // in the room that the details leave
    rows.draw();
    detailsView.draw(this);
    this.remember();
  },

  showChosen() {
    const at = this.tab === "graph" || this.tab === "json" ? -1 : this.position();
    if (at >= 0) rows.show(at);
  },

  // reveal chooses a node and shows it, even if it is folded away or filtered out.
  reveal(id) {
    const model = this.shown;
    for (const n of model.above(model.find(id))) finding.fold(n.id, false);
    if (this.tab === "json" || this.tab === "compare") this.show("tree");
    this.drawRows();
    if (this.keep && !this.keep[model.byID.get(id)]) {
      finding.clear();
      this.drawRows();
    }
    this.choose(id);
    if (this.tab === "graph") return graphView.reveal(this, id);
    this.move(this.position());
  },

  // move chooses another row, by its place.
  move(at) {
    if (!this.order.length) return;
    const { id } = this.order[Math.max(0, Math.min(at, this.order.length - 1))];
    this.chosen = id;
    rows.show(this.position());
    rows.draw();
    $("rows").setAttribute("aria-activedescendant", "row-" + this.shown.byID.get(id));
    if (!$("details").hidden) this.choose(id);
  },

  position() {
    return this.order.findIndex(({ id }) => id === this.chosen);
  },

  key(event) {
    if (this.tab === "json" || this.tab === "compare" || !this.live || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.position();
    const page = Math.max(1, Math.floor($("rows").clientHeight / rows.height) - 1);
    const n = at >= 0 && this.shown.find(this.chosen);
    const container = n && this.shown.children[n.index].length > 0;
    const folded = n && this.folded.has(n.id);
    const actions = Object.entries({
      ArrowDown: () => this.move(at + 1),
      ArrowUp: () => this.move(at - 1),
      PageDown: () => this.move(at + page),
      PageUp: () => this.move(at - page),
      Home: () => this.move(0),
      End: () => this.move(this.order.length - 1),
      ArrowRight: () => n && (container && folded ? this.fold(n.id, false) : this.move(at + 1)),
      ArrowLeft: () => n && (container && !folded ? this.fold(n.id, true) : this.move(this.order.findIndex((row) => row.id === this.shown.nodes[n.parent]?.id))),
      Enter: () => n && this.choose(n.id),
      " ": () => n && this.choose(n.id),
      Escape: () => this.choose(null),
    });
    const action = new Map(actions).get(event.key);
    if (!action) return;
    event.preventDefault();
    action();
  },
};

const rows = new Rows($("rows"), (row, at) => taskView.fillRow(row, at));
matchMedia("(max-width: 720px)").addEventListener("change", () => {
  if (!taskView.live) return;
  taskView.draw();
  taskView.showChosen(); // rows have another height
});
