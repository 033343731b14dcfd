// Stream follows a task's events and reconnects behind the last one it has
// seen. EventSource cannot send the header with the credentials, fetch can.
class Stream {
  constructor(query, model, handlers) {
    this.query = query;
    this.model = model; // its position is what has been seen
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
    const response = await request("events", this.query, { "Last-Event-ID": this.model().position }, this.aborter.signal);
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
    const fields = new Map();
    for (const line of text.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
    }
    if (this.closed) return;
    switch (fields.get("event")) {
      case "gone":
        return this.gone();
      case "snapshot":
        return this.handlers.snapshot(JSON.parse(fields.get("data")));
      case "transition":
        return this.handlers.transition(JSON.parse(fields.get("data")));
    }
  }

  gone() {
    this.close();
    this.handlers.gone();
  }
}
