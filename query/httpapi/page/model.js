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
    this.nodes = [];
    this.children = [];
    this.shape = 0; // changes with the set of nodes
    story.nodes.forEach((n) => this.put(n));
  }

  put(n) {
    if (!this.nodes[n.index]) {
      this.children[n.index] = [];
      if (n.parent >= 0) this.children[n.parent].push(n.index);
      this.shape++;
    }
    this.nodes[n.index] = n;
  }

  // apply takes the next transition over.
  apply(moved) {
    this.position = moved.position;
    this.state = moved.state;
    this.last = moved;
    // Containers come behind what they contain there.
    [...moved.nodes].sort((a, b) => a.index - b.index).forEach((n) => this.put(n));
    for (const a of moved.superseded || []) this.attempts(a.node_id).push(a);
  }

  // attempts of a node that were superseded, oldest first.
  attempts(id) {
    if (!this.superseded.has(id)) this.superseded.set(id, []);
    return this.superseded.get(id);
  }

  // learn adds superseded attempts that are read from the service. What came
  // by events meanwhile stays, behind them.
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

  // visible is the order of the rows: depth first, without what is folded.
  visible(folded) {
    const order = [];
    const stack = [[0, 0]];
    while (stack.length) {
      const [index, level] = stack.pop();
      order.push({ index, level });
      if (folded.has(this.nodes[index].id)) continue;
      const children = this.children[index];
      for (let i = children.length - 1; i >= 0; i--) stack.push([children[i], level + 1]);
    }
    return order;
  }

  // span is the time from the first start to the last thing that happened.
  span(now) {
    const from = Date.parse(this.root.start_time || "") || now;
    const running = this.nodes.some((n) => n.start_time && !n.finish_time && n.state === "RUNNING");
    const last = Date.parse(this.last?.time || "") || now;
    return [from, Math.max(running ? now : last, from + 1)];
  }
}
