// Model is one task at one moment: its nodes by index, their children, and the
// attempts that were superseded, by node ID. An ID may be any text, also
// "constructor": it is looked up in maps and never in objects.
class Model {
  constructor(story) {
    this.superseded = new Map();
    this.reset(story);
  }

  reset(story) {
    this.position = story.position;
    this.state = story.state;
    this.last = story.last;
    this.operable = story.operable;
    this.task = story.task_id;
    this.labels = story.labels;
    this.nodes = [];
    this.children = [];
    this.byID = new Map();
    this.shape = 0; // changes with the set of nodes
    story.nodes.forEach((n) => this.put(n));
  }

  put(n) {
    const at = n.index;
    if (!this.nodes[at]) {
      this.children[at] = [];
      this.byID.set(n.id, at);
      if (n.parent >= 0) this.children[n.parent].push(at);
      this.shape++;
    }
    n.began = Date.parse(n.start_time || "");
    n.ended = Date.parse(n.finish_time || "");
    n.cause = n.error ? cause(n.error) : "";
    this.nodes[at] = n;
    this.ends = null;
  }

  // apply takes the next transition over.
  apply(moved) {
    this.position = moved.position;
    this.state = moved.state;
    this.last = moved;
    if (moved.labels) this.labels = moved.labels;
    // Containers come behind what they contain there.
    [...moved.nodes].sort((a, b) => a.index - b.index).forEach((n) => this.put(n));
    for (const a of moved.superseded || []) this.attempts(a.node_id).push(a);
  }

  find(id) {
    return this.nodes[this.byID.get(id)];
  }

  // attempts of a node that were superseded, oldest first.
  attempts(id) {
    if (!this.superseded.has(id)) this.superseded.set(id, []);
    return this.superseded.get(id);
  }

  // learn adds superseded attempts that are read from the service. Those that
  // came by events since then stay, behind them.
  learn(superseded) {
    const told = this.superseded;
    this.superseded = new Map();
    for (const a of superseded) this.attempts(a.node_id).push(a);
    for (const [id, attempts] of told) {
      // The root's attempts have no version, only a loop.
      const name = (a) => a.version + " " + a.loop;
      const known = new Set(this.attempts(id).map(name));
      this.attempts(id).push(...attempts.filter((a) => !known.has(name(a))));
    }
  }

  get root() {
    return this.nodes[0];
  }

  container(n) {
    return n.kind === "pipeline" || n.kind === "subprocess";
  }

  // working reports whether work is in progress in a node: a leaf runs or waits
  // for its automatic retry, or a container is between two steps.
  working(n) {
    if (!this.container(n)) return n.state === "RUNNING" || !!n.retry_at;
    return !n.finish_time && (n.state === "RUNNING" || !!n.counts?.RUNNING);
  }

  // end is the time when an attempt ended or stopped: now while work is in
  // progress in it, otherwise the time of its last change.
  end(n, now) {
    if (n.ended >= 0) return n.ended;
    if (this.working(n)) return now;
    if (n.index === 0 || !this.container(n)) return Math.max(this.lastTime(), n.began || 0) || now;
    this.ends ||= this.lastBelow();
    return this.ends[n.index] || now;
  }

  // lastTime is when the last transition happened, or the last known end.
  lastTime() {
    this.ends ||= this.lastBelow();
    return Math.max(Date.parse(this.last?.time || "") || 0, this.ends[0] || 0);
  }

  // lastBelow is, for each node, the last known time in it.
  lastBelow() {
    const ends = this.nodes.map((n) => Math.max(n.began || 0, n.ended || 0));
    for (let i = ends.length - 1; i > 0; i--) {
      const up = this.nodes[i].parent;
      ends[up] = Math.max(ends[up], ends[i]);
    }
    return ends;
  }

  duration(n, now) {
    return n.began >= 0 ? showDuration(this.end(n, now) - n.began) : "";
  }

  // story is how long the task took and how long ago it came to a stand.
  story(now) {
    const n = this.root;
    const took = this.duration(n, now);
    if (!took) return "";
    if (this.working(n)) return "running for " + took;
    return n.state.toLowerCase() + " after " + took + ", " + showAgo(this.end(n, now));
  }

  // matching are the nodes that a filter asks for, and those above them; null
  // stands for all.
  matching(filter) {
    const text = filter.text.toLowerCase();
    if (!text && !filter.states.size && !filter.quiet) return null;
    const keep = new Uint8Array(this.nodes.length);
    for (let i = this.nodes.length - 1; i >= 0; i--) {
      const n = this.nodes[i];
      const leaf = !this.container(n);
      const fits =
        (!filter.states.size || (leaf && filter.states.has(n.state))) &&
        (!text || [n.name, n.id, n.key, kindLabel(n.kind), n.cause].some((t) => t?.toLowerCase().includes(text))) &&
        !(filter.quiet && leaf && n.kind !== "service_activity");
      if (fits || keep[i]) {
        keep[i] = 1;
        if (n.parent >= 0) keep[n.parent] = 1;
      }
    }
    keep[0] = 1;
    return keep;
  }

  // visible is the order of the rows: depth first, without what is folded.
  visible(folded, keep) {
    const order = [];
    const stack = [[0, 0]];
    while (stack.length) {
      const [index, level] = stack.pop();
      order.push({ index, level });
      if (folded.has(this.nodes[index].id)) continue;
      const children = this.children[index];
      for (let i = children.length - 1; i >= 0; i--) if (!keep || keep[children[i]]) stack.push([children[i], level + 1]);
    }
    return order;
  }

  // span is the time from the first start to the last thing that happened.
  span(now) {
    const from = this.root.began || now;
    return [from, Math.max(this.working(this.root) ? now : this.lastTime(), from + 1)];
  }

  // next returns the next leaf after a node that satisfies a condition, in the
  // order of the rows and continuing from the first row; -1 without such a leaf.
  next(id, condition) {
    const all = this.visible(new Set());
    const from = all.findIndex(({ index }) => this.nodes[index].id === id);
    const fits = ({ index }) => !this.container(this.nodes[index]) && condition(this.nodes[index]);
    return (all.slice(from + 1).find(fits) || all.find(fits))?.index ?? -1;
  }

  // longest is the leaf that has been running longest; -1 if none runs.
  longest() {
    let best = -1;
    for (const n of this.nodes) {
      if (n.state === "RUNNING" && !this.container(n) && (best < 0 || n.began < this.nodes[best].began)) best = n.index;
    }
    return best;
  }
}

// remarks describes unusual facts about an attempt, in the words that the tools use
// too.
function remarks(n) {
  const parts = [];
  const times = (count, what) => count && parts.push(what + (count > 1 ? " " + count + "×" : ""));
  times(n.retries, "retried");
  times(n.skips, "skipped");
  if (n.loop > 1) parts.push("loop " + n.loop);
  if (n.retry_at) parts.push("retry at " + showTime(n.retry_at).slice(11));
  if (n.error_ignored) parts.push("error ignored");
  return parts;
}
