// Model is one task at one moment: its nodes by index, their children, and the
// superseded attempts by node ID. An ID may be any text, even "constructor", so it is
// a key of maps and never of objects.
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
    this.shape = (this.shape || 0) + 1; // changes with the set of nodes
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
    n.began = milliseconds(n.start_time || "");
    n.ended = milliseconds(n.finish_time || "");
    n.cause = n.error ? cause(n.error) : "";
    n.text = ""; // what a filter looks at, once one has
    this.nodes[at] = n;
    this.ends = null;
  }

  // apply applies the next transition.
  apply(moved) {
    this.position = moved.position;
    this.state = moved.state;
    this.last = moved;
    if (moved.labels) this.labels = moved.labels;
    // A transition has containers after their content.
    [...moved.nodes].sort((a, b) => a.index - b.index).forEach((n) => this.put(n));
    for (const a of moved.superseded || []) this.attempts(a.node_id).push(a);
  }

  find(id) {
    return this.nodes[this.byID.get(id)];
  }

  // attempts returns the superseded attempts of a node, oldest first.
  attempts(id) {
    if (!this.superseded.has(id)) this.superseded.set(id, []);
    return this.superseded.get(id);
  }

  // learn adds superseded attempts that the service returned. Attempts that events
  // have added since then stay, after them.
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

  // above returns the containers of a node, from the innermost to the root.
  above(n) {
    const list = [];
    for (let p = this.nodes[n.parent]; p; p = this.nodes[p.parent]) list.push(p);
    return list;
  }

  get root() {
    return this.nodes[0];
  }

  container(n) {
    return n.kind === "pipeline" || n.kind === "subprocess";
  }

  // working reports whether a node is active: a leaf that runs or awaits its
  // automatic retry, or a container that runs or is between two steps.
  working(n) {
    if (!this.container(n)) return n.state === "RUNNING" || !!n.retry_at;
    return !n.finish_time && (n.state === "RUNNING" || !!n.counts?.RUNNING);
  }

  // end is when an attempt ended. For an attempt that has not ended, it is now if the
  // node is active, and otherwise the time of the last event in it.
  end(n, now) {
    if (n.ended >= 0) return n.ended;
    if (this.working(n)) return now;
    if (n.index === 0 || !this.container(n)) return Math.max(this.lastTime(), n.began || 0) || now;
    this.ends ||= this.lastBelow();
    return this.ends[n.index] || now;
  }

  // lastTime is the time of the last transition or of the last known end.
  lastTime() {
    this.ends ||= this.lastBelow();
    return Math.max(milliseconds(this.last?.time || "") || 0, this.ends[0] || 0);
  }

  // lastBelow returns for each node the last known time in it.
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

  // story tells how long the task took and how long ago it stopped.
  story(now) {
    const n = this.root;
    const took = this.duration(n, now);
    if (!took) return "";
    const running = n.counts?.RUNNING;
    if (n.state === "SUSPENDED" && running) return "suspended · " + running + (running === 1 ? " step" : " steps") + " still running, " + took + " since the start";
    if (this.working(n)) return "running for " + took;
    return n.state.toLowerCase() + " after " + took + ", " + showAgo(this.end(n, now));
  }

  // matching marks the nodes that a filter asks for and the containers above them.
  // It returns null if the filter lets everything through.
  matching(filter) {
    const text = filter.text.trim().toLowerCase();
    if (!text && !filter.states.size && !filter.quiet) return null;
    const keep = new Uint8Array(this.nodes.length);
    for (let i = this.nodes.length - 1; i >= 0; i--) {
      const n = this.nodes[i];
      const leaf = !this.container(n);
      const fits =
        (!filter.states.size || (leaf && filter.states.has(n.state))) &&
        (!text || this.textOf(n).includes(text)) &&
        !(filter.quiet && leaf && n.kind !== "service_activity");
      if (fits || keep[i]) {
        keep[i] = 1;
        if (n.parent >= 0) keep[n.parent] = 1;
      }
    }
    keep[0] = 1;
    return keep;
  }

  // textOf is the text in which a filter looks: the names of a node and the whole of
  // its error.
  textOf(n) {
    return (n.text ||= clean([n.name, n.id, n.key, kindLabel(n.kind), n.note, n.error].filter(Boolean).join("\n")).toLowerCase());
  }

  // visible returns the rows in their order, depth first, without the content of
  // folded containers.
  visible(folded, keep) {
    const order = [];
    const stack = [[0, 0]];
    while (stack.length) {
      const [index, level] = stack.pop();
      order.push({ id: this.nodes[index].id, level });
      if (folded.has(this.nodes[index].id)) continue;
      const children = this.children[index];
      for (let i = children.length - 1; i >= 0; i--) if (!keep || keep[children[i]]) stack.push([children[i], level + 1]);
    }
    return order;
  }

  // span is the time from the first start to the last event.
  span(now) {
    const from = this.root.began || now;
    return [from, Math.max(this.working(this.root) ? now : this.lastTime(), from + 1)];
  }

  // next returns the next leaf after a node for which a condition holds, in the order
  // of the rows and from the beginning again after the end. It returns undefined if
  // there is none.
  next(id, condition) {
    const all = this.visible(new Set()).map((row) => this.find(row.id));
    const from = all.findIndex((n) => n.id === id);
    const fits = (n) => !this.container(n) && condition(n);
    return all.slice(from + 1).find(fits) || all.find(fits);
  }

  // longest returns the leaf that has been running longest, undefined if none runs.
  longest() {
    const running = this.nodes.filter((n) => n.state === "RUNNING" && !this.container(n));
    return running.reduce((best, n) => (best && best.began <= n.began ? best : n), undefined);
  }
}

// remarks returns the unusual facts about an attempt, in the words that the other
// tools use.
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
