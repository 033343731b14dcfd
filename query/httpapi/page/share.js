// Company is the group of this browser's tabs that show tasks of this server. A browser
// opens at most six connections to a server, and a stream uses one of them all the
// time. So only visible tabs have streams, only some of them at a time, and of the tabs
// that show the same task one has a stream and tells the others.
class Company {
  static streams = 4;
  static lost = 4000; // milliseconds after which a silent tab counts as closed

  // changed is called when the part of this tab may have changed, and heard with each
  // message of the tab with the stream.
  constructor(key, changed, heard) {
    this.changed = changed;
    this.heard = heard;
    this.others = new Map();
    this.me = { id: Math.random().toString(36).slice(2), since: Date.now(), key, visible: !document.hidden };
    this.channel = new BroadcastChannel("pipestatus");
    this.channel.onmessage = ({ data }) => this.hear(data);
    this.timer = setInterval(() => this.beat(), 1000);
    this.see = () => this.turn();
    document.addEventListener("visibilitychange", this.see);
    this.leave = () => this.close();
    addEventListener("pagehide", this.leave);
    this.beat();
  }

  close() {
    if (this.closed) return;
    this.tell("bye");
    this.closed = true;
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.see);
    removeEventListener("pagehide", this.leave);
    this.channel.close();
  }

  // turn gives the stream up soon after the tab is hidden.
  turn() {
    clearTimeout(this.hiding);
    const take = () => {
      this.me.visible = !document.hidden;
      this.beat();
    };
    if (document.hidden) this.hiding = setTimeout(take, 1000);
    else take();
  }

  tell(what, more) {
    if (!this.closed) this.channel.postMessage({ ...this.me, what, ...more });
  }

  beat() {
    this.tell("here", this.news?.());
    for (const [id, other] of this.others) if (other.seen < Date.now() - Company.lost) this.others.delete(id);
    this.changed();
  }

  hear(message) {
    const known = this.others.has(message.id);
    if (message.what === "bye") this.others.delete(message.id);
    else this.others.set(message.id, { ...message, data: undefined, seen: Date.now() });
    if (!known && message.what === "here") this.tell("here", this.news?.());
    if (message.key === this.me.key && this.part() === "follow" && this.leader().id === message.id) this.heard(message);
    this.changed();
  }

  // leaders returns the tabs that have a stream or wait for one, the oldest tab first.
  leaders() {
    const visible = [this.me, ...this.others.values()].filter((tab) => tab.visible);
    visible.sort((a, b) => a.since - b.since || (a.id < b.id ? -1 : 1));
    const first = new Map();
    for (const tab of visible) if (!first.has(tab.key)) first.set(tab.key, tab);
    return [...first.values()];
  }

  leader() {
    return this.leaders().find((tab) => tab.key === this.me.key);
  }

  // part is what this tab does: lead (it has a stream), follow (a leader tells it), poll
  // (it asks from time to time) or rest (it is hidden and asks rarely).
  part() {
    const leaders = this.leaders();
    const place = leaders.findIndex((tab) => tab.key === this.me.key);
    if (place < 0) return "rest";
    if (place >= Company.streams) return this.me.visible ? "poll" : "rest";
    return leaders[place].id === this.me.id ? "lead" : "follow";
  }
}
