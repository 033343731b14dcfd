// Elements, texts and requests. Every text that comes from a pipeline goes
// through textContent: nothing here ever makes markup of it. Where something
// follows one on its line, it is in an element of its own: apart.

const $ = (id) => document.getElementById(id);

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// unturned is text without what would turn the direction of what follows it.
const unturned = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd");

// apart is text of which neither letters nor controls move what is beside it.
// An element, not characters that isolate: those would be copied with it.
const apart = (text) => element("bdi", "", unturned(text));

// escapeUnseen is JSON with escapes for what does not show or turns the
// direction of a line.
const escapeUnseen = (json) =>
  json.replace(/[\p{Cf}\p{DI}\x7f-\x9f\u2028\u2029]/gu, (c) => [...Array(c.length).keys()].map((i) => "\\u" + c.charCodeAt(i).toString(16).padStart(4, "0")).join(""));

// indented is JSON with line breaks, its fields in the order they have. Parsed
// objects would put those first whose names are numbers.
function indented(json) {
  let level = 0;
  const newLine = () => "\n" + "  ".repeat(level);
  return json.replace(/"(?:[^"\\]|\\.)*"|\{\s*\}|\[\s*\]|[{}[\],:]|\s+/g, (token) => {
    switch (token[0]) {
      case "{":
      case "[":
        if (token.length > 1) return token;
        level++;
        return token + newLine();
      case "}":
      case "]":
        level--;
        return newLine() + token;
      case ",":
        return token + newLine();
      case ":":
        return ": ";
      case '"':
        return token;
    }
    return "";
  });
}

// Times are shown as the server writes them, in its zone.
let serverOffset = "Z";
let clockAhead = 0; // milliseconds by which the server's clock is ahead

function learnClock(now) {
  clockAhead = Date.parse(now) - Date.now();
  serverOffset = now.match(/(Z|[+-]\d\d:\d\d)$/)[0];
}

const serverNow = () => Date.now() + clockAhead;

const showTime = (text) => (text ? text.slice(0, 19).replace("T", " ") : "");

// showMoment is a time in milliseconds in the server's zone.
function showMoment(ms, fraction) {
  const [, sign, hours, minutes] = serverOffset.match(/([+-])(\d\d):(\d\d)/) || [null, "+", 0, 0];
  const shift = (sign === "-" ? -1 : 1) * (hours * 60 + +minutes) * 60000;
  return new Date(ms + shift).toISOString().slice(0, fraction ? 23 : 19).replace("T", " ");
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

// roundStep is a round number of milliseconds, at least some.
function roundStep(least) {
  const s = 1000, m = 60 * s, h = 60 * m, d = 24 * h;
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, s, 2 * s, 5 * s, 10 * s, 15 * s, 30 * s, m, 2 * m, 5 * m, 10 * m, 15 * m, 30 * m, h, 2 * h, 3 * h, 6 * h, 12 * h];
  return steps.find((step) => step >= least) || Math.ceil(least / d) * d;
}

// duration of a node or task; until now if it has not finished.
function duration(n, now) {
  if (!n.start_time) return "";
  return showDuration((n.finish_time ? Date.parse(n.finish_time) : now) - Date.parse(n.start_time));
}

const kindLabel = (kind) => kind.replaceAll("_", " ");
const nameOf = (n) => n.name || kindLabel(n.kind);

function stateBadge(state, text) {
  return element("span", "state " + state, text || state);
}

const states = ["RUNNING", "FAILED", "SUSPENDED", "CREATED", "REVOKED", "FINISHED"];

// counted are the states with a count, those that this page does not know last.
function counted(counts) {
  return [...states, ...Object.keys(counts).filter((s) => !states.includes(s))].filter((s) => counts[s]);
}

function showCounts(parent, counts) {
  parent.replaceChildren(...counted(counts).map((s) => stateBadge(s, counts[s] + " " + s)));
}

function mark(kind, text) {
  $("mark").className = kind;
  $("mark").textContent = text;
}

function problem(text) {
  $("problem").textContent = text || "";
  $("problem").hidden = !text;
}

// Credentials, if the service wants any, live as long as the tab.
const stored = "pipestatus";

function credentials() {
  const text = sessionStorage.getItem(stored);
  // A header holds ASCII only.
  return text ? { "X-Bkapi-Authorization": text.replace(/[\u0080-\uffff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0")) } : {};
}

class Refused extends Error {}
class SignedOut extends Error {}

// request asks the service; a refusal is an error with its message.
async function request(path, query, headers, signal, body) {
  const address = "api/" + path + "?" + new URLSearchParams(query);
  const asked = { headers: { ...credentials(), ...headers }, signal, cache: "no-store" };
  if (body) Object.assign(asked, { method: "POST", body: JSON.stringify(body), headers: { ...asked.headers, "Content-Type": "application/json" } });
  const response = await fetch(address, asked);
  if (response.status === 401) {
    const { message } = await response.json();
    showSignIn(sessionStorage.getItem(stored) ? message : "");
    throw new SignedOut(message);
  }
  return response;
}

// answer is the text of an answer that is no refusal.
async function answer(path, query, signal) {
  const response = await request(path, query, {}, signal);
  if (response.status === 429 || response.status >= 500) throw new Error("not now");
  const text = await response.text();
  const { result, message } = JSON.parse(text);
  if (!result) throw new Refused(message);
  return text;
}

// operate asks the runner to do something.
async function operate(what) {
  const response = await request("operate", {}, {}, undefined, what);
  const { result, message } = await response.json();
  if (!result) throw new Refused(message);
}

const load = async (path, query, signal) => JSON.parse(await answer(path, query, signal)).data;
