// Elements and requests. Every text that comes from a pipeline is cleaned and set
// through textContent, so that it never becomes markup. Where something follows such
// a text on its line, the text has an element of its own, see apart.

const $ = (id) => document.getElementById(id);

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = clean(text);
  return e;
}

// renew gives an element new contents and keeps the parts of it that stay the same,
// because a click or a selection may be under way on one of them. Parts are texts or
// elements without listeners of their own.
function renew(box, ...parts) {
  parts.forEach((part, i) => {
    const [old, next] = [box.childNodes[i], part instanceof Node ? part : document.createTextNode(part)];
    if (!old) box.append(next);
    else if (old.nodeName !== next.nodeName) old.replaceWith(next);
    else if (old.nodeType === Node.TEXT_NODE) old.data === next.data || (old.data = next.data);
    else if (!old.isEqualNode(next)) {
      for (const name of old.getAttributeNames()) if (!next.hasAttribute(name)) old.removeAttribute(name);
      // The policy of the page forbids to set a style by its attribute.
      for (const name of next.getAttributeNames()) name === "style" ? (old.style.cssText = next.style.cssText) : old.setAttribute(name, next.getAttribute(name));
      renew(old, ...next.childNodes);
    }
  });
  while (box.childNodes.length > parts.length) box.lastChild.remove();
}

const kindLabel = (kind) => kind.replaceAll("_", " ");
const nameOf = (n) => n.name || kindLabel(n.kind);

function stateBadge(state, text) {
  return element("span", "state " + state, text || state);
}

const stateSymbols = { RUNNING: "▶", FAILED: "✖", SUSPENDED: "‖", CREATED: "○", REVOKED: "⊘", FINISHED: "✔" };
const states = ["RUNNING", "FAILED", "SUSPENDED", "CREATED", "REVOKED", "FINISHED"];

// counted returns the states with a count. States that this page does not know come
// last.
function counted(counts) {
  return [...states, ...Object.keys(counts).filter((s) => !states.includes(s))].filter((s) => counts[s]);
}

// counters shows a button for each name. pressed tells whether a button is pressed,
// content returns its content, and press handles a click. Existing buttons are kept.
function counters(box, names, pressed, content, press) {
  const had = new Map([...box.children].map((button) => [button.dataset.count, button]));
  const focused = document.activeElement;
  const buttons = names.map((name) => {
    const button = had.get(name) || element("button", "count");
    if (!had.has(name)) {
      button.type = "button";
      button.dataset.count = name;
      button.addEventListener("click", () => press(name));
    }
    button.ariaPressed = pressed.has(name);
    renew(button, content(name));
    return button;
  });
  if (buttons.length === had.size && buttons.every((button, i) => button === box.children[i])) return;
  box.replaceChildren(...buttons);
  if (box.contains(focused)) focused.focus();
}

function mark(kind, text) {
  $("mark").className = kind;
  $("mark").textContent = text;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function problem(text) {
  $("problem").textContent = clean(text || "");
  $("problem").hidden = !text;
  Outage.told = false;
}

// nothing hides the current view and says why there is nothing to show.
function nothing(message) {
  mark("", "");
  for (const id of ["tasks", "task"]) $(id).hidden = true;
  $("nothing").hidden = false;
  $("nothing-text").textContent = clean(message);
}

// unreadable is the message about a part of an address that the page cannot read.
const unreadable = (name, value, wanted) => "The address has " + name + "=" + value + ", which is not " + wanted + ".";
const aTime = "a time such as 2006-01-02T15:04:05Z, yesterday 03:12, 2h or Unix seconds";

// Credentials, if the service asks for any, are kept until the tab is closed.
const stored = "pipestatus";

function credentials() {
  const text = sessionStorage.getItem(stored);
  // A header holds ASCII only.
  return text ? { "X-Bkapi-Authorization": text.replace(/[\u0080-\uffff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0")) } : {};
}

// session identifies the credentials of this tab without containing them.
const session = () => sessionStorage.getItem(stored + ".session") || "";

class Refused extends Error {}
class SignedOut extends Error {}

// request asks the service. If the service wants credentials, it shows the sign-in.
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

// messageIn is the message in an answer, which may be JSON, HTML or plain text.
function messageIn(text) {
  try {
    return JSON.parse(text).message || text;
  } catch {
    return text.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ").trim().slice(0, 200);
  }
}

// answer returns the text of an answer and throws Refused for a refusal.
async function answer(path, query, signal) {
  const response = await request(path, query, {}, signal);
  const text = await response.text();
  if (response.status === 429 || response.status >= 500) throw new Error(response.status + " " + messageIn(text));
  const { result, message } = JSON.parse(text);
  if (!result) throw new Refused(message);
  return text;
}

// operate asks the runner to carry out an operation.
async function operate(what) {
  const response = await request("operate", {}, {}, undefined, what);
  const { result, message } = await response.json();
  if (!result) throw new Refused(message);
}

const load = async (path, query, signal) => JSON.parse(await answer(path, query, signal)).data;
