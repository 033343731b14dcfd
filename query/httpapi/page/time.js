// Times and durations. The page reads and shows times in one zone, which a person
// chooses.

let clockAhead = 0; // milliseconds by which the server's clock is ahead

const learnClock = (now) => (clockAhead = Date.parse(now) - Date.now());
const serverNow = () => Date.now() + clockAhead;

// zone is the time zone of all times on the page. The server tells when the offset of
// its zone changes, so that times are right on both sides of a change.
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

  // choose sets the zone and keeps the choice, if the browser allows it.
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

  // offset is how far local time is ahead of UTC at a moment, in minutes.
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

  // local is a date whose UTC fields have the local time of a moment.
  local(ms) {
    return new Date(ms + this.offset(ms) * 60000);
  },

  // parse reads a local time such as 2006-01-02T15:04. A time that a change of the
  // offset skips or repeats is read with the offset before the change.
  parse(text) {
    const local = Date.parse(text + "Z");
    if (isNaN(local)) return NaN;
    const before = local - this.offset(local - 86400000) * 60000;
    const after = local - this.offset(local + 86400000) * 60000;
    return this.local(before).getTime() === local || this.local(after).getTime() !== local ? before : after;
  },

  // input is a moment in the form that fields for times accept.
  input(ms) {
    return this.local(ms).toISOString().slice(0, 16);
  },
};

// moment reads a time in an address, as statusctl does and in the zone of the page:
// RFC 3339, "2006-01-02 15:04", "03:12" for the last time it was that, "today",
// "yesterday 03:12", how long ago it was, such as 2h or 30d, and also Unix seconds or
// milliseconds. It returns milliseconds, NaN for any other text.
function moment(text) {
  const now = serverNow();
  if (/^-?\d+(\.\d+)?$/.test(text)) return Math.abs(text) < 1e11 ? Math.round(text * 1000) : Math.round(text);
  const [, date, clock, offset] = text.match(/^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ?(Z|[+-]\d\d:?\d\d)?)?$/i) || [];
  if (date && new Date(date + "T00:00Z").toJSON()?.slice(0, 10) !== date) return NaN; // no such day
  if (offset) return Date.parse(date + "T" + clock + offset.replace(/(\d\d):?(\d\d)$/, "$1:$2"));
  if (date) return zone.parse(date + "T" + (clock || "00:00"));
  const [, day, time] = text.match(/^(today|yesterday)? ?(\d\d:\d\d(?::\d\d)?)?$/) || [];
  if (day || time) {
    const on = (back) => zone.parse(new Date(zone.local(now).getTime() - back * 86400000).toISOString().slice(0, 11) + (time || "00:00"));
    return day ? on(day === "today" ? 0 : 1) : on(0) > now ? on(1) : on(0);
  }
  if (!/^(\d+(\.\d+)?(ms|[dhms]))+$/.test(text)) return NaN;
  const units = { d: 86400000, h: 3600000, m: 60000, s: 1000, ms: 1 };
  return now - [...text.matchAll(/([\d.]+)(ms|[dhms])/g)].reduce((sum, [, count, unit]) => sum + count * units[unit], 0);
}

// milliseconds is a moment in milliseconds, with the fraction of one that Date ignores.
const milliseconds = (time) => (typeof time === "string" ? Date.parse(time) + +("0." + (time.match(/\.\d{3}(\d+)/)?.[1] || "0")) : time);

// showTime is a moment, as text or in milliseconds, with its date.
function showTime(time, fraction) {
  const ms = milliseconds(time);
  if (isNaN(ms)) return "";
  return zone.local(ms).toISOString().slice(0, fraction ? 23 : 19).replace("T", " ");
}

// showEnd is the end of a period, with its date if that differs from the start's.
function showEnd(start, end) {
  const [from, to] = [showTime(start), showTime(end)];
  return from.slice(0, 10) === to.slice(0, 10) ? to.slice(11) : to;
}

// showDuration is a duration in its two largest units, in the form of the other tools.
function showDuration(ms) {
  if (isNaN(ms)) return "";
  ms = Math.round(ms * 1000) / 1000; // such as 1000.9999999999999 for 1.001 s
  if (ms <= 0) return "0 s";
  const s = Math.floor(ms / 1000);
  const two = (n) => String(n).padStart(2, "0");
  if (s < 1) return Math.max(1, Math.floor(ms)) + " ms";
  if (s < 10) return (Math.floor(ms / 100) / 10).toFixed(1) + " s";
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + "m " + two(s % 60) + "s";
  if (s < 86400) return Math.floor(s / 3600) + "h " + two(Math.floor(s / 60) % 60) + "m";
  return Math.floor(s / 86400) + "d " + (Math.floor(s / 3600) % 24) + "h";
}

// showAgo is how long ago a moment is, in its largest unit.
function showAgo(time) {
  const ms = serverNow() - milliseconds(time);
  if (isNaN(ms)) return "";
  if (ms < 1000) return "just now";
  return (ms < 60000 ? Math.floor(ms / 1000) + " s" : showDuration(ms).split(" ")[0]) + " ago";
}

// tickText is the text at a mark of the time axis. Below a minute, the marks after the
// first one of a minute have only the seconds.
function tickText(t, step, last) {
  if (t === 0) return "0";
  const minutes = showDuration(t - (t % 60000)).replace(/ 0+[smh]$/, "");
  if (step >= 60000) return "+" + minutes;
  const seconds = +((t % 60000) / 1000).toFixed(3) + " s";
  if (t < 60000) return "+" + seconds;
  if (Math.floor(t / 60000) === Math.floor(last / 60000)) return seconds;
  return "+" + minutes + (t % 60000 ? " " + seconds : "");
}

// roundStep is the smallest round number of milliseconds that is not below least.
function roundStep(least) {
  const s = 1000, m = 60 * s, h = 60 * m, d = 24 * h;
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, s, 2 * s, 5 * s, 10 * s, 15 * s, 30 * s, m, 2 * m, 5 * m, 10 * m, 15 * m, 30 * m, h, 2 * h, 3 * h, 6 * h, 12 * h];
  return steps.find((step) => step >= least) || Math.ceil(least / d) * d;
}
