// Outage handles a server that does not answer: it shows the reason and the time of the
// next attempt, which is later after each failure.
class Outage {
  static least = 250;
  static most = 30000;

  constructor() {
    this.wait = Outage.least;
  }

  // over ends the outage.
  over() {
    this.wait = Outage.least;
    if (Outage.shown === this) $("outage").hidden = true;
  }

  // after waits for the time to try again, or until a person wants to.
  async after(error, signal) {
    const until = Date.now() + this.wait * (0.75 + Math.random() / 2);
    this.wait = Math.min(this.wait * 2, Outage.most);
    Outage.shown = this;
    this.failed = (this.failed || 0) + 1;
    mark("reconnecting", "reconnecting");
    let now = false;
    $("outage-retry").onclick = () => (now = true);
    while (!now && !signal.aborted && Date.now() < until) {
      const left = Math.ceil((until - Date.now()) / 1000);
      $("outage-text").textContent = "The server does not answer: " + error.message + ". " + (left > 1 ? "Next try in " + left + " s." : "Trying again.");
      $("outage").hidden = false;
      await pause(Math.max(1, Math.min(250, until - Date.now())));
    }
  }

  // end forgets it: the view was left.
  end() {
    if (Outage.shown === this) $("outage").hidden = true;
  }
}
