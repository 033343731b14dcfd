// Outage is for the time in which the server does not answer: the page says why and
// when it tries again, which is later after each failure.
class Outage {
  static least = 250;
  static most = 30000;

  constructor() {
    this.wait = Outage.least;
  }

  // over removes the message, because the server has answered.
  over() {
    this.wait = Outage.least;
    if (Outage.shown === this) $("outage").hidden = true;
  }

  // after waits for the time of the next try, or until a person asks for it.
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

  // end removes the message, because the view was left.
  end() {
    if (Outage.shown === this) $("outage").hidden = true;
  }
}
