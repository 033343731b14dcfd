// The events of the page, and which view is open.
$("rows").addEventListener("keydown", (e) => taskView.key(e));
$("rows").addEventListener("click", (e) => {
  // The row tells which node it shows: the order may have changed since it was drawn.
  const id = e.target.closest(".row")?.dataset.node;
  if (id === undefined) return;
  if (e.target.className === "fold" && e.target.textContent) taskView.fold(id, e.target.textContent === "▾");
  else taskView.choose(id);
});
for (const tab of taskView.tabs) $("tab-" + tab).addEventListener("click", () => taskView.live && taskView.show(tab));
$("tabs").addEventListener("keydown", (e) => {
  const tabs = [...$("tabs").querySelectorAll("[role=tab]")];
  const step = (e.key === "ArrowRight") - (e.key === "ArrowLeft");
  const at = tabs.indexOf(e.target);
  if (!step || at < 0) return;
  const next = tabs[(at + step + tabs.length) % tabs.length];
  next.click();
  next.focus();
});
$("slider").addEventListener("input", () => taskView.live && taskView.slide());
$("at").addEventListener("input", () => $("at").setCustomValidity(""));
$("at-form").addEventListener("submit", (e) => {
  e.preventDefault();
  taskView.jump();
});
$("to-now").addEventListener("click", () => taskView.toNow());
// A click shows the whole of a long name, and another click only its beginning.
for (const e of document.querySelectorAll("h1.clamp, h2.clamp")) e.addEventListener("click", () => e.classList.toggle("whole"));
$("close-details").addEventListener("click", () => {
  taskView.choose(null);
  $("rows").focus();
});

$("sign-in-form").addEventListener("submit", (e) => {
  e.preventDefault();
  const given = { bk_app_code: $("app-code").value, bk_app_secret: $("app-secret").value };
  if ($("user-token").value) given.bk_token = $("user-token").value;
  if ($("user-name").value) given.bk_username = $("user-name").value;
  sessionStorage.setItem(stored, JSON.stringify(given));
  sessionStorage.setItem(stored + ".session", Math.random().toString(36));
  // The rest stays, in case that the secret is wrong.
  $("app-secret").value = "";
  route();
});
$("sign-out").addEventListener("click", () => {
  sessionStorage.removeItem(stored);
  sessionStorage.removeItem(stored + ".session");
  $("sign-in-form").reset();
  route();
});

$("zone").addEventListener("change", () => {
  zone.choose($("zone").value);
  route();
});
$("copy-link").addEventListener("click", async () => {
  await copy(location.href);
  $("copy-link").textContent = "Copied";
  setTimeout(() => ($("copy-link").textContent = "Copy link"), 1500);
});
const jsonText = () => taskView.json.join("\n");
$("json-tools").append(copyButton("Copy JSON", jsonText));
$("download").addEventListener("click", () => {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([jsonText()], { type: "application/json" }));
  link.download = taskView.query.bk_biz_id + "-" + taskView.query.task_id + ".json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});

let view = null;

function leave() {
  view?.close();
  view = null;
  problem("");
  mark("", "");
  for (const id of ["sign-in", "tasks", "task", "nothing", "outage"]) $(id).hidden = true;
}

// formWords are the names of the fields of the sign-in, by the names that the service
// has for them.
const formWords = { bk_app_code: "Application code", bk_app_secret: "Application secret", bk_token: "User token", bk_username: "User name" };

function showSignIn(message) {
  leave();
  problem(message.replace(/bk_\w+/g, (name, at) => {
    const words = formWords[name] || name;
    return at ? words.toLowerCase() : words;
  }));
  $("sign-in").hidden = false;
  $("sign-out").hidden = true;
  $($("app-code").value ? "app-secret" : "app-code").focus();
}

// route opens the view that the address names.
function route() {
  leave();
  $("sign-out").hidden = !sessionStorage.getItem(stored);
  const [, path, query] = location.hash.match(/^#\/([^?]*)\??(.*)$/) || [null, "", ""];
  document.title = "pipestatus";
  view = path === "task" ? taskView : tasksView;
  view.open(new URLSearchParams(query));
}

try {
  zone.mode = localStorage.getItem("pipestatus.zone") || "server";
} catch {}
addEventListener("hashchange", route);
route();
