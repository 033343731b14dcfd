// One task: summary, tree, timeline, JSON, details of a node, point in time.
const taskView = {
  async open(params) {
    this.query = { bk_biz_id: params.get("bk_biz_id") || "", task_id: params.get("task_id") || "" };
    this.live = this.past = null;
    this.folded = new Set();
    this.order = [];
    this.chosen = null;
    this.json = [];
    this.tab = "tree";
    this.opened = new AbortController();
    $("details").hidden = true;
    $("slider").value = 1000;
    this.clear();
    mark("", "loading");
    for (let wait = 250; !this.live; wait = Math.min(wait * 2, 5000)) {
      const opened = this.opened.signal;
      try {
        const story = await load("task", this.query, opened);
        if (opened.aborted) return;
        learnClock(story.now);
        this.live = new Model(story);
      } catch (e) {
        if (opened.aborted || e instanceof SignedOut) return;
        if (e instanceof Refused) {
          mark("", "");
          return problem(e.message);
        }
        mark("reconnecting", "reconnecting");
        await new Promise((done) => setTimeout(done, wait));
        if (opened.aborted) return;
      }
    }
    this.follow();
    this.choose(params.get("node_id") ? this.live.nodes.findIndex((n) => n.id === params.get("node_id")) : -1);
    this.show(params.get("tab") || "tree");
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
    for (const id of ["t-state", "t-name", "t-where", "t-counts", "moment-text"]) $(id).textContent = "";
    $("t-state").className = "state";
    rows.set(0, 28);
  },

  // shown is what is looked at: the present or a moment of the past.
  get shown() {
    return this.past || this.live;
  },

  now() {
    return this.past ? this.pastTime : serverNow();
  },

  follow() {
    this.stream = new Stream(this.query, () => this.live, {
      live: () => {
        this.connected = true;
        this.showMark();
      },
      lost: () => {
        this.connected = false;
        this.showMark();
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
        this.changed();
      },
    });
  },

  showMark() {
    if (!this.connected) mark("reconnecting", "reconnecting");
    else if (this.past) mark("past", "in the past");
    else mark("live", "live");
  },

  // changed draws once a frame, however many events there are.
  changed() {
    this.drawing ||= requestAnimationFrame(() => {
      this.drawing = 0;
      if (this.live) this.draw();
    });
  },

  tick() {
    if (!this.past && this.live && !document.hidden) this.draw();
    if (this.tab === "json" && !this.past && this.jsonPosition !== this.live?.position) this.loadJSON();
  },

  draw() {
    const model = this.shown;
    const root = model.root;
    $("t-state").className = "state " + root.state;
    $("t-state").textContent = root.state;
    $("t-name").textContent = root.name || this.query.task_id;
    document.title = root.state + " \u2068" + unturned(root.name || this.query.task_id) + "\u2069 – pipestatus";
    const rest = [model.nodes.length + " nodes", duration(root, this.now())].filter(Boolean).join(" · ");
    $("t-where").replaceChildren("business ", apart(this.query.bk_biz_id), " · task ", apart(this.query.task_id), " · " + rest);
    showCounts($("t-counts"), root.counts || {});
    $("next-failure").disabled = !model.nodes.some((n) => n.state === "FAILED");
    this.drawMoment();
    this.drawRows();
    this.drawDetails();
    this.drawActions();
  },

  drawActions() {
    const task = { bk_biz_id: this.query.bk_biz_id, task_id: this.live.task };
    actionsView.draw(this, this.shown, this.shown.nodes.find((n) => n.id === this.chosen), task);
  },

  drawMoment() {
    const model = this.shown;
    if (this.past) {
      const step = model.last;
      const node = step && model.nodes.find((n) => n.id === step.node_id);
      $("moment-text").textContent = showMoment(this.pastTime, true) + (step ? " · after " + step.op + (node ? " of " + nameOf(node) : "") : "");
    } else $("moment-text").textContent = model.last ? "now · last: " + model.last.op + " at " + showTime(model.last.time) : "now";
    $("to-now").hidden = !this.past;
    $("slider").disabled = !this.live.root.start_time;
  },

  drawRows() {
    if (this.tab === "json") return rows.set(this.json.length, 20);
    this.order = this.shown.visible(this.folded);
    this.scale = this.shown.span(this.now());
    rows.set(this.order.length, 28);
    if (this.tab === "timeline") this.drawAxis();
  },

  // drawAxis marks round times above the bars: a row like the others.
  drawAxis() {
    const [from, to] = this.scale;
    const most = matchMedia("(max-width: 720px)").matches ? 3 : 8;
    const step = roundStep((to - from) / most);
    const track = element("span", "track");
    for (let t = 0; t < to - from; t += step) {
      const tick = element("span", "tick", t ? "+" + showDuration(t).replace(/(?<=[smhd]) 0[smh]$|\.0(?=s)/, "") : "0");
      tick.style.left = (100 * t) / (to - from) + "%";
      track.append(tick);
    }
    const line = element("div", "row");
    line.append(element("span", "name"), track, element("span", "state"), element("span", "duration"));
    $("axis").replaceChildren(line);
  },

  fillRow(row, at) {
    if (this.tab === "json") {
      row.className = "row";
      row.textContent = this.json[at];
      return;
    }
    const { index, level } = this.order[at];
    const n = this.shown.nodes[index];
    const container = this.shown.children[index].length > 0;
    row.className = n.id === this.chosen ? "row chosen" : "row";
    row.id = "row-" + index;
    row.role = "treeitem";
    row.ariaLevel = level + 1;
    row.ariaSelected = n.id === this.chosen;
    row.ariaExpanded = container ? !this.folded.has(n.id) : null;
    const name = element("span", "name");
    name.style.paddingLeft = level * 18 + "px";
    name.append(element("span", "fold", container ? (this.folded.has(n.id) ? "▸" : "▾") : ""), apart(nameOf(n)));
    if (n.name) name.append(" ", element("span", "kind", kindLabel(n.kind)));
    name.title = nameOf(n);
    const badge = stateBadge(n.state);
    const took = element("span", "duration", duration(n, this.now()));
    if (this.tab === "timeline") row.replaceChildren(name, this.track(n), badge, took);
    else row.replaceChildren(name, this.notes(n), badge, took);
  },

  notes(n) {
    const notes = [];
    if (n.loop > 1) notes.push("loop " + n.loop);
    if (n.retry) notes.push("retry " + n.retry);
    if (n.skip) notes.push("skipped");
    if (n.error_ignored) notes.push("error ignored");
    if (n.retry_at) notes.push("retries at " + showTime(n.retry_at).slice(11));
    if (n.error) notes.push(n.error.slice(0, 200));
    return element("span", n.error && !n.error_ignored ? "notes bad" : "notes", notes.join(" · "));
  },

  track(n) {
    const track = element("span", "track");
    const [from, to] = this.scale;
    const bar = (a, old) => {
      const start = Date.parse(a.start_time || "");
      if (!start || start > to) return;
      const end = Math.min(a.finish_time ? Date.parse(a.finish_time) : this.now(), to);
      const bar = element("span", "bar " + a.state + (old ? " old" : ""));
      bar.style.left = (100 * Math.max(start - from, 0)) / (to - from) + "%";
      bar.style.width = (100 * Math.max(end - start, 0)) / (to - from) + "%";
      bar.title = a.state + " " + showTime(a.start_time) + " " + showDuration(end - start);
      track.append(bar);
    };
    for (const a of this.live.attempts(n.id)) {
      if (!this.past || Date.parse(a.start_time || "") < (Date.parse(n.start_time || "") || this.pastTime)) bar(a, true);
    }
    bar(n, false);
    return track;
  },

  show(tab) {
    this.tab = ["timeline", "json"].includes(tab) ? tab : "tree";
    for (const t of ["tree", "timeline", "json"]) {
      $("tab-" + t).ariaSelected = t === this.tab;
      $("tab-" + t).tabIndex = t === this.tab ? 0 : -1;
    }
    $("view").className = this.tab;
    $("rows").role = this.tab === "json" ? "document" : "tree";
    $("axis").hidden = this.tab !== "timeline";
    $("rows").scrollTop = 0;
    if (this.tab === "json") this.loadJSON();
    if (this.tab === "timeline") this.loadTimeline();
    this.draw();
  },

  at() {
    return this.past ? { ...this.query, as_of: new Date(this.pastTime).toISOString() } : this.query;
  },

  async loadJSON() {
    const position = this.live.position;
    const text = await this.attempt(() => answer("status", this.at(), this.opened.signal));
    if (!text) return;
    this.jsonPosition = position;
    this.json = escapeUnseen(indented(text)).split("\n");
    this.draw();
  },

  async loadTimeline() {
    const data = await this.attempt(() => load("timeline", this.query, this.opened.signal));
    if (!data) return;
    this.live.learn(data.superseded);
    this.draw();
  },

  // attempt loads something that the page can do without for now.
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
    $("moment-text").textContent = showMoment(time, true);
    this.sliding = setTimeout(async () => {
      const story = await this.attempt(() => load("task", { ...this.query, as_of: new Date(time).toISOString() }, this.opened.signal));
      if (!story || +$("slider").value !== value) return;
      this.pastTime = time;
      this.past = new Model(story);
      this.showMark();
      this.draw();
      if (this.tab === "json") this.loadJSON();
    }, 120);
  },

  toNow() {
    $("slider").value = 1000;
    this.past = null;
    this.showMark();
    this.draw();
    if (this.tab === "json") this.loadJSON();
  },

  fold(at, folded) {
    const id = this.shown.nodes[this.order[at].index].id;
    if (folded) this.folded.add(id);
    else this.folded.delete(id);
    this.drawRows();
  },

  // choose opens the details of a node, by index.
  choose(index) {
    const n = this.shown?.nodes[index];
    this.chosen = n ? n.id : null;
    $("details").hidden = !n;
    if (this.live) this.drawActions();
    $("d-attempts").replaceChildren();
    this.attemptsOf = null;
    rows.draw();
    this.drawDetails();
  },

  drawDetails() {
    const n = this.shown?.nodes.find((n) => n.id === this.chosen);
    if (!n) return;
    $("d-name").textContent = nameOf(n);
    const fields = [
      ["State", n.state], ["Kind", kindLabel(n.kind)], ["ID", n.id], ["Version", n.version], ["Loop", n.loop], ["Retries", n.retry || 0],
      ["Started", showTime(n.start_time)], ["Finished", showTime(n.finish_time)], ["Duration", duration(n, this.now())],
      ["Retries at", showTime(n.retry_at)],
    ];
    $("d-fields").replaceChildren(...fields.filter(([, v]) => v || v === 0).flatMap(([k, v]) => {
      const dd = element("dd");
      dd.append(k === "State" ? stateBadge(v) : String(v));
      return [element("dt", "", k), dd];
    }));
    // The attempts are all that are recorded, also when the past is shown.
    const current = JSON.stringify([n.version, n.state, n.start_time, n.finish_time, n.error]);
    if (this.attemptsOf !== null && (this.past || this.attemptsOf === current)) return;
    this.attemptsOf = current;
    this.loadHistory();
  },

  async loadHistory() {
    const [id, of] = [this.chosen, this.attemptsOf];
    const data = await this.attempt(() => load("history", { ...this.query, node_id: id }, this.opened.signal));
    if (!data || id !== this.chosen || of !== this.attemptsOf) return;
    $("d-attempts").replaceChildren(...data.attempts.toReversed().map((a, i) => this.showAttempt(a, data.attempts.length - i)));
  },

  showAttempt(a, number) {
    const item = element("li", "attempt");
    item.style.borderColor = "var(--" + a.state.toLowerCase() + ")";
    const head = element("p");
    const notes = ["#" + number, a.current && "current", a.loop > 1 && "loop " + a.loop, a.skip && "skipped", a.error_ignored && "error ignored"];
    head.append(stateBadge(a.state), element("span", "kind", " " + notes.filter(Boolean).join(" · ")));
    item.append(head);
    if (a.start_time) {
      item.append(element("p", "hint time", showTime(a.start_time) + (a.finish_time ? " – " + showTime(a.finish_time).slice(11) : "") +
        (a.finish_time ? " · " + duration(a, 0) : "")));
    }
    if (a.error) item.append(element("pre", "error", a.error));
    return item;
  },

  // move takes the choice to another row.
  move(at) {
    if (!this.order.length) return;
    at = Math.max(0, Math.min(at, this.order.length - 1));
    this.chosen = this.shown.nodes[this.order[at].index].id;
    rows.show(at);
    rows.draw();
    $("rows").setAttribute("aria-activedescendant", "row-" + this.order[at].index);
    if (!$("details").hidden) this.choose(this.order[at].index);
  },

  position() {
    return this.order.findIndex(({ index }) => this.shown.nodes[index].id === this.chosen);
  },

  key(event) {
    if (this.tab === "json" || !this.live || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.position();
    const page = Math.max(1, Math.floor($("rows").clientHeight / 28) - 1);
    const row = this.order[at];
    const container = row && this.shown.children[row.index].length > 0;
    const folded = row && this.folded.has(this.shown.nodes[row.index].id);
    const actions = Object.entries({
      ArrowDown: () => this.move(at + 1),
      ArrowUp: () => this.move(at - 1),
      PageDown: () => this.move(at + page),
      PageUp: () => this.move(at - page),
      Home: () => this.move(0),
      End: () => this.move(this.order.length - 1),
      ArrowRight: () => row && (container && folded ? this.fold(at, false) : this.move(at + 1)),
      ArrowLeft: () => row && (container && !folded ? this.fold(at, true) : this.move(this.order.findIndex((o) => o.index === this.shown.nodes[row.index].parent))),
      Enter: () => row && this.choose(row.index),
      " ": () => row && this.choose(row.index),
      Escape: () => this.choose(-1),
    });
    const action = new Map(actions).get(event.key);
    if (!action) return;
    event.preventDefault();
    action();
  },

  nextFailure() {
    // What is folded is looked at too, from behind the chosen node.
    const all = this.shown.visible(new Set());
    const from = all.findIndex(({ index }) => this.shown.nodes[index].id === this.chosen);
    const failed = (o) => this.shown.nodes[o.index].state === "FAILED" && this.shown.children[o.index].length === 0;
    const next = all.slice(from + 1).find(failed) || all.find(failed);
    if (!next) return;
    for (let p = this.shown.nodes[next.index].parent; p >= 0; p = this.shown.nodes[p].parent) this.folded.delete(this.shown.nodes[p].id);
    if (this.tab === "json") this.show("tree");
    this.drawRows();
    this.choose(next.index);
    this.move(this.position());
  },
};

const rows = new Rows($("rows"), (row, at) => taskView.fillRow(row, at));
