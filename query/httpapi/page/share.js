// Company is the tabs of this browser that show tasks here. A browser opens six
// connections to a server at most, and a stream takes one for as long as it
// lasts: so of the tabs that show the same task one has a stream and tells the
// others, only visible tabs have one, and only some of them at a time.
class Company {
  static streams = 4;
  static lost = 4000; // a tab that was not heard for that long has gone

  // changed is called when the part of this tab may be another; heard with what
  // the tab with the stream tells.
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

  // turn gives the stream back soon after the tab is hidden.
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

  // leaders are the tabs that have a stream or wait for one, longest here first.
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

  // part of this tab: lead (has a stream), follow (is told by one that has), poll
  // (asks now and then), rest (hidden, asks rarely).
  part() {
    const leaders = this.leaders();
    const place = leaders.findIndex((tab) => tab.key === this.me.key);
    if (place < 0) return "rest";
    if (place >= Company.streams) return this.me.visible ? "poll" : "rest";
    return leaders[place].id === this.me.id ? "lead" : "follow";
  }
}
