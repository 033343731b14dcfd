// Times: one zone for reading and showing, which the person chooses.

let clockAhead = 0; // milliseconds by which the server's clock is ahead

const learnClock = (now) => (clockAhead = Date.parse(now) - Date.now());
const serverNow = () => Date.now() + clockAhead;

// zone is the time zone of all times on the page. The server tells when its
// offset changes, so that its times are right on both sides of a change.
const zone = {
  mode: "server",
  name: "",
  changes: [], // { from: milliseconds, offset: minutes, name }, oldest first

  async learn(signal) {
    if (this.changes.length) return;
    const told = await load("zone", {}, signal);
    this.name = told.name;
    this.changes = told.changes.map((c) => ({ from: c.from ? Date.parse(c.from) : -Infinity, offset: c.offset / 60, name: c.name }));
    this.choose(this.mode);
  },

  // choose sets the zone and keeps the choice, where that is allowed.
  choose(mode) {
    this.mode = ["server", "browser", "UTC"].includes(mode) ? mode : "server";
    try {
      localStorage.setItem("pipestatus.zone", this.mode);
    } catch {}
    $("zone").value = this.mode;
    for (const option of $("zone").options) option.textContent = this.label(option.value);
    $("zone-now").textContent = this.label(this.mode);
    for (const e of document.querySelectorAll(".zone")) e.textContent = this.offsetName(serverNow());
  },

  change(ms) {
    return this.changes.findLast((c) => c.from <= ms) || { offset: 0, name: "" };
  },

  // offset is the minutes by which local time is ahead of UTC at a moment.
  offset(ms) {
    if (this.mode === "UTC") return 0;
    return this.mode === "browser" ? -new Date(ms).getTimezoneOffset() : this.change(ms).offset;
  },

  offsetName(ms) {
    const minutes = this.offset(ms);
    const [h, m] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
    return minutes ? "UTC" + (minutes < 0 ? "-" : "+") + h + (m ? ":" + String(m).padStart(2, "0") : "") : "UTC";
  },

  label(mode) {
    if (mode === "UTC") return "UTC";
    const was = this.mode;
    this.mode = mode;
    const offset = this.offsetName(serverNow());
    this.mode = was;
    const name = mode === "browser" ? Intl.DateTimeFormat().resolvedOptions().timeZone : this.name;
    return mode + ": " + (name && name !== offset ? name + " (" + offset + ")" : offset);
  },

  // local is a moment as a date whose UTC fields are the local ones.
  local(ms) {
    return new Date(ms + this.offset(ms) * 60000);
  },

  // parse reads a local time such as 2006-01-02T15:04. A time that a change of the
  // offset leaves out or has twice is read with the offset before the change.
  parse(text) {
    const local = Date.parse(text + "Z");
    if (isNaN(local)) return NaN;
    const before = local - this.offset(local - 86400000) * 60000;
    const after = local - this.offset(local + 86400000) * 60000;
    return this.local(before).getTime() === local || this.local(after).getTime() !== local ? before : after;
  },

  // input is a moment as fields for times take it.
  input(ms) {
    return this.local(ms).toISOString().slice(0, 16);
  },
};

// moment is a time in an address (RFC 3339) in milliseconds, and NaN for any other text.
const moment = (text) => (/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/i.test(text) ? Date.parse(text) : NaN);

const milliseconds = (time) => (typeof time === "string" ? Date.parse(time || "") : time);

// showTime is a moment, as text or in milliseconds, with its date.
function showTime(time, fraction) {
  const ms = milliseconds(time);
  if (isNaN(ms)) return "";
  return zone.local(ms).toISOString().slice(0, fraction ? 23 : 19).replace("T", " ");
}

// showEnd is the end of something that began: with a date if that is another.
function showEnd(start, end) {
  const [from, to] = [showTime(start), showTime(end)];
  return from.slice(0, 10) === to.slice(0, 10) ? to.slice(11) : to;
}

function showDuration(ms) {
  if (!(ms >= 0)) return "";
  if (ms < 1000) return Math.round(ms) + "ms";
  const s = Math.floor(ms / 1000);
  if (s < 60) return (ms < 10000 ? (Math.floor(ms / 100) / 10).toFixed(1) : s) + "s";
  if (s < 3600) return Math.floor(s / 60) + "m " + (s % 60) + "s";
  if (s < 86400) return Math.floor(s / 3600) + "h " + (Math.floor(s / 60) % 60) + "m";
  return Math.floor(s / 86400) + "d " + (Math.floor(s / 3600) % 24) + "h";
}

// showAgo is how long ago a moment is, in its largest unit.
function showAgo(time) {
  const ms = serverNow() - milliseconds(time);
  if (isNaN(ms)) return "";
  return ms < 1000 ? "just now" : showDuration(ms).split(" ")[0].replace(/\.\d/, "") + " ago";
}

// roundStep is a round number of milliseconds, at least some.
function roundStep(least) {
  const s = 1000, m = 60 * s, h = 60 * m, d = 24 * h;
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, s, 2 * s, 5 * s, 10 * s, 15 * s, 30 * s, m, 2 * m, 5 * m, 10 * m, 15 * m, 30 * m, h, 2 * h, 3 * h, 6 * h, 12 * h];
  return steps.find((step) => step >= least) || Math.ceil(least / d) * d;
}
