// Stream follows a task's events and reconnects behind the last one it has
// seen. EventSource cannot send the header with the credentials, fetch can.
class Stream {
  constructor(query, model, handlers) {
    this.query = query;
    this.model = model; // its revision is what has been seen
    this.handlers = handlers; // snapshot, transition, gone, live, lost
    this.aborter = new AbortController();
    this.run();
  }

  close() {
    this.closed = true;
    this.aborter.abort();
  }

  async run() {
    for (let wait = 250; !this.closed; wait = Math.min(wait * 2, 5000)) {
      try {
        if (await this.connect()) wait = 125;
      } catch (e) {
        if (this.closed || e instanceof SignedOut) return;
      }
      if (this.closed) return;
      this.handlers.lost();
      await new Promise((done) => setTimeout(done, wait * (0.75 + Math.random() / 2)));
    }
  }

  // connect reads one connection to its end; true if it ever was one.
  async connect() {
    this.aborter = new AbortController();
    const response = await request("events", this.query, { "Last-Event-ID": String(this.model().revision) }, this.aborter.signal);
    if (!(response.headers.get("Content-Type") || "").startsWith("text/event-stream")) {
      if (response.status === 200) this.gone();
      return false;
    }
    this.handlers.live();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await this.inTime(reader.read());
      if (done) return true;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      events.forEach((text) => this.dispatch(text));
    }
  }

  // inTime gives up on a connection without even a heartbeat.
  async inTime(reading) {
    const timer = setTimeout(() => this.aborter.abort(), 45000);
    try {
      return await reading;
    } finally {
      clearTimeout(timer);
    }
  }

  dispatch(text) {
    const fields = {};
    for (const line of text.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (this.closed || !fields.event) return;
    if (fields.event === "gone") this.gone();
    else this.handlers[fields.event](JSON.parse(fields.data));
  }

  gone() {
    this.close();
    this.handlers.gone();
  }
}
