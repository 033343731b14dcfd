// Outage is for the time in which the server does not answer: the page says so, when
// it knew the shown state and when it tries again, which is later after each failure.
class Outage {
  static least = 250;
  static most = 30000;
  static told = false; // the problem that is shown says that the server does not answer

  constructor() {
    this.wait = Outage.least;
  }

  // tell says that the server did not answer to what a person did, unless the message
  // of an outage says it already.
  static tell() {
    if (!$("outage").hidden) return;
    problem("The server does not answer.");
    Outage.told = true;
  }

  // reason is what is known about why a request failed. Browsers have different words,
  // of no use to a person, for a server that cannot be reached.
  static reason = (error) => (error instanceof TypeError ? "" : error.message);

  // say shows the message. since is when the outage began.
  say(reason, rest) {
    this.since ??= serverNow();
    Outage.shown = this;
    if (Outage.told) problem("");
    mark("reconnecting", "reconnecting");
    const known = view?.live || view?.list ? "The page shows the state of " + showTime(this.since).slice(11) + "." : "";
    $("outage-text").textContent = ["The server does not answer" + (reason ? ": " + reason : "") + ".", known, rest].filter(Boolean).join(" ");
    $("outage").hidden = false;
  }

  // over removes the message, because the server has answered.
  over() {
    this.wait = Outage.least;
    this.since = undefined;
    if (Outage.shown === this) $("outage").hidden = true;
    if (Outage.told) problem("");
  }

  // after waits for the time of the next try, or until a person asks for it.
  async after(reason, signal) {
    const until = Date.now() + this.wait * (0.75 + Math.random() / 2);
    this.wait = Math.min(this.wait * 2, Outage.most);
    let now = false;
    $("outage-retry").onclick = () => (now = true);
    while (!now && !signal.aborted && Date.now() < until) {
      const left = Math.ceil((until - Date.now()) / 1000);
      this.say(reason, left > 1 ? "Next try in " + left + " s." : "Trying again.");
      await pause(Math.max(1, Math.min(250, until - Date.now())));
    }
  }

  // end removes the message, because the view was left.
  end() {
    if (Outage.shown === this) $("outage").hidden = true;
  }
}
