// The knowledge from earlier runs of the pipeline: how long its nodes usually take,
// which of them are late, and when the task is expected to end.
const usual = {
  open(params) {
    this.like = params.get("like") || ""; // a label, or "" for the name
    this.forget();
  },

  forget() {
    this.nodes = new Map(); // by index
    this.runs = 0;
    this.notCounted = 0; // runs that failed and have not ended
    this.end = NaN;
    this.overdue = 0; // seconds by which the end has moved
    this.waits = ""; // the state of nodes that wait for a person
    this.steps = 0; // that the task should have in the end
    this.askAt = 0;
    this.asked = 0;
    this.took = 0; // milliseconds that the last answer took
  },

  // query selects the runs like this one. It is null if nothing selects them.
  query(model) {
    const at = this.like.indexOf("=");
    if (at > 0) return { labels: JSON.stringify({ [this.like.slice(0, at)]: this.like.slice(at + 1) }) };
    if (model.root.name) return { name: model.root.name };
    return model.labels && Object.keys(model.labels).length ? { labels: JSON.stringify(model.labels) } : null;
  },

  // tick asks once, and again from time to time while the task runs.
  tick(view) {
    if (Date.now() < this.askAt || document.hidden || (this.asked && !view.live.working(view.live.root))) return;
    this.askAt = Date.now() + 60000;
    this.load(view);
  },

  // moved asks soon, because the task has changed, but less often if the answer takes
  // the server long.
  moved() {
    this.askAt = Math.min(this.askAt, this.asked + 15000 + 50 * this.took);
  },

  async load(view) {
    const of = this.query(view.live);
    this.asked = Date.now();
    if (!of) return;
    const like = this.like;
    const data = await view.attempt(() => load("usual", { ...view.query, ...of }, view.opened.signal));
    if (!data || like !== this.like) return;
    this.took = Date.now() - this.asked;
    this.askAt = Date.now() + 60000 + 50 * this.took;
    this.nodes = new Map(data.nodes.map((n) => [n.index, n]));
    this.runs = data.runs;
    this.notCounted = data.not_counted || 0;
    this.end = Date.parse(data.expected_end || "");
    this.overdue = data.overdue || 0;
    this.waits = data.waits || "";
    this.steps = data.expected_steps;
    view.changed();
  },

  // late reports whether a node has been running for longer than in 95% of its runs.
  late(n, now) {
    const was = this.nodes.get(n.index);
    return n.state === "RUNNING" && was?.finished > 0 && now - n.began > 1000 * was.p95;
  },

  // short is how long a node usually takes, "" if this is not known.
  short(n) {
    const was = this.nodes.get(n.index);
    return was?.finished ? "usually " + showDuration(1000 * was.median) : "";
  },

  // long is the same with the figures behind it.
  long(n) {
    const was = this.nodes.get(n.index);
    if (!was) return "";
    const times = was.finished ? showDuration(1000 * was.median) + ", 95% within " + showDuration(1000 * was.p95) + " · " : "";
    return times + was.failures + " of " + was.runs + (was.runs === 1 ? " run" : " runs") + " failed";
  },

  // draw shows how long the task usually takes and when it should end.
  draw(view) {
    const root = view.shown.root;
    const parts = [];
    if (this.short(root)) parts.push(this.short(root) + " (" + this.runs + (this.runs === 1 ? " run)" : " runs)"));
    if (this.notCounted) parts.push(this.notCounted + " failed and not ended, not counted");
    if (!view.past && root.state === "RUNNING" && this.runs && this.waits) parts.push("waits for a person: a step " + (this.waits === "FAILED" ? "failed" : "is suspended"));
    if (!view.past && root.state === "RUNNING" && this.end) {
      const left = this.end - serverNow();
      const whole = (ms) => showDuration(ms).replace(/\.\d/, ""); // without a fraction
      const time = whole(Math.max(1000, left));
      const when = this.overdue ? "in " + time + " at the earliest" : showEnd(serverNow(), this.end) + ", in " + time;
      parts.push("expected to end " + (left > 0 ? when : "any moment"));
      if (this.overdue) parts.push("late by " + whole(1000 * this.overdue) + " so far");
    }
    $("t-usual").textContent = parts.join(" · ");
    $("view").classList.toggle("usually", this.nodes.size > 0);
    const late = view.past ? 0 : view.shown.nodes.filter((n) => this.late(n, view.now()) && !view.shown.container(n)).length;
    $("next-late").hidden = !late;
    $("next-late").textContent = late + " late";
  },
};
