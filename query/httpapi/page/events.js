// Stream keeps a model of a task up to date: with the server's events after the last
// one that it has seen, with the messages of another tab, or by asking. It uses fetch,
// because EventSource cannot send the header with the credentials.
class Stream {
  constructor(query, model, handlers) {
    this.query = query;
    this.model = model; // its position is that of the last event
    this.handlers = handlers; // snapshot, transition, gone, live
    this.aborter = new AbortController();
    this.outage = new Outage();
    this.ended = new AbortController();
    const key = JSON.stringify([location.pathname, query.bk_biz_id, query.task_id, session()]);
    this.company = new Company(key, () => this.reconsider(), (message) => this.hear(message));
    this.company.news = () => this.part === "lead" && { position: this.model().position, live: this.alive, trouble: this.trouble };
    this.run();
  }

  close() {
    this.closed = true;
    this.company.close();
    this.outage.end();
    this.ended.abort();
    this.aborter.abort();
  }

  reconsider() {
    if (this.part && this.company.part() !== this.part) this.aborter.abort();
  }

  async run() {
    await pause(100); // for the other tabs to answer
    while (!this.closed) {
      this.part = this.company.part();
      this.aborter = new AbortController();
      try {
        if (this.part === "lead") await this.connect();
        else if (this.part === "follow") await this.idle(3600000);
        else {
          await this.ask();
          await this.idle(this.part === "poll" ? 3000 : 30000);
        }
      } catch (e) {
        if (this.closed || e instanceof SignedOut) return;
        if (this.aborter.signal.aborted && !this.silent) continue; // another part
        this.alive = false;
        this.trouble = this.silent ? "nothing was heard for 45 s" : Outage.reason(e);
        if (this.silent) this.outage.since ??= serverNow() - 45000;
        this.silent = false;
        this.company.beat();
        await this.outage.after(this.trouble, this.ended.signal);
      }
    }
  }

  // idle waits for some time, or until the part of this tab changes.
  idle(ms) {
    return new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.aborter.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        done();
      });
    });
  }

  live() {
    this.alive = true;
    this.outage.over();
    this.handlers.live();
  }

  // ask reads the task if it has changed.
  async ask() {
    const response = await request("task", this.query, this.tag ? { "If-None-Match": this.tag } : {}, this.aborter.signal);
    if (response.status !== 304) {
      const text = await response.text();
      if (response.status >= 429) throw new Error(response.status + " " + messageIn(text));
      const { result, data } = JSON.parse(text);
      if (this.closed) return;
      if (!result) return this.gone();
      this.tag = response.headers.get("ETag");
      if (data.position !== this.model().position) this.handlers.snapshot(data);
    }
    if (!this.closed) this.live();
  }

  // hear handles a message of the tab with the stream.
  hear(message) {
    if (this.closed) return;
    const at = this.model().position;
    if (message.what === "transition") {
      if (message.data.position === at) return;
      if (message.from === at) return this.handlers.transition(message.data);
      return this.behind();
    }
    if (message.what === "gone") return this.gone();
    if (message.live === false) this.outage.say(message.trouble);
    else if (message.live) {
      this.live();
      if (message.position !== at) this.behind();
    }
  }

  // behind asks because this tab has missed something, one request at a time.
  async behind() {
    if (this.asking) return;
    this.asking = true;
    try {
      await this.ask();
    } catch {
      // The next message of the other tab leads to another try.
    } finally {
      this.asking = false;
    }
  }

  // connect opens a stream and reads it to its end.
  async connect() {
    const response = await request("events", this.query, { "Last-Event-ID": this.model().position }, this.aborter.signal);
    if (!(response.headers.get("Content-Type") || "").startsWith("text/event-stream")) {
      if (response.status === 200) return this.gone();
      throw new Error(response.status + " " + messageIn(await response.text()));
    }
    this.live();
    this.company.beat();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await this.inTime(reader.read());
      if (this.closed) return;
      if (done) throw new Error("the connection was closed");
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      events.forEach((text) => this.dispatch(text));
    }
  }

  // inTime gives up on a connection that has no heartbeat.
  async inTime(reading) {
    const timer = setTimeout(() => {
      this.silent = true;
      this.aborter.abort();
    }, 45000);
    try {
      return await reading;
    } finally {
      clearTimeout(timer);
    }
  }

  dispatch(text) {
    const fields = new Map();
    for (const line of text.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
    }
    if (this.closed) return;
    const from = this.model().position;
    switch (fields.get("event")) {
      case "gone":
        return this.gone();
      case "snapshot":
        this.handlers.snapshot(JSON.parse(fields.get("data")));
        return this.company.beat();
      case "transition": {
        const data = JSON.parse(fields.get("data"));
        this.handlers.transition(data);
        return this.company.tell("transition", { from, data });
      }
    }
  }

  gone() {
    if (this.part === "lead") this.company.tell("gone");
    this.close();
    this.handlers.gone();
  }
}
