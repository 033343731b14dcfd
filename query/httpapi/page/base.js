// Elements and requests. Every text that comes from a pipeline is cleaned and goes
// through textContent: nothing here ever makes markup of it. Where something
// follows one on its line, it is in an element of its own: apart.

const $ = (id) => document.getElementById(id);

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = clean(text);
  return e;
}

const kindLabel = (kind) => kind.replaceAll("_", " ");
const nameOf = (n) => n.name || kindLabel(n.kind);

function stateBadge(state, text) {
  return element("span", "state " + state, text || state);
}

const stateSymbols = { RUNNING: "▶", FAILED: "✖", SUSPENDED: "‖", CREATED: "○", REVOKED: "⊘", FINISHED: "✔" };
const states = ["RUNNING", "FAILED", "SUSPENDED", "CREATED", "REVOKED", "FINISHED"];

// counted are the states with a count, those that this page does not know last.
function counted(counts) {
  return [...states, ...Object.keys(counts).filter((s) => !states.includes(s))].filter((s) => counts[s]);
}

function mark(kind, text) {
  $("mark").className = kind;
  $("mark").textContent = text;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function problem(text) {
  $("problem").textContent = clean(text || "");
  $("problem").hidden = !text;
}

// nothing says why there is nothing to show, and hides what was shown.
function nothing(message) {
  mark("", "");
  for (const id of ["tasks", "task"]) $(id).hidden = true;
  $("nothing").hidden = false;
  $("nothing-text").textContent = clean(message);
}

// unreadable is the message for a part of an address that the page cannot read.
const unreadable = (name, value, wanted) => "The address has " + name + "=" + value + ", which is not " + wanted + ".";
const aTime = "a time such as 2006-01-02T15:04:05Z";

// Credentials, if the service wants any, live as long as the tab.
const stored = "pipestatus";

function credentials() {
  const text = sessionStorage.getItem(stored);
  // A header holds ASCII only.
  return text ? { "X-Bkapi-Authorization": text.replace(/[\u0080-\uffff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0")) } : {};
}

// session names the credentials of this tab, and does not tell them.
const session = () => sessionStorage.getItem(stored + ".session") || "";

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

// messageIn is the message of an answer: the field of that name, or the whole text.
function messageIn(text) {
  try {
    return JSON.parse(text).message || text;
  } catch {
    return text.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ").trim().slice(0, 200);
  }
}

// answer is the text of an answer that is no refusal.
async function answer(path, query, signal) {
  const response = await request(path, query, {}, signal);
  const text = await response.text();
  if (response.status === 429 || response.status >= 500) throw new Error(response.status + " " + messageIn(text));
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
