// The keys that work everywhere on the page, and the list of all keys.
const keyList = [
  ["?", "this list"], ["/", "find nodes, or filter the list"], ["f", "next failure"], ["r", "next running"], ["l", "longest running"],
  ["1 … 5", "tree, timeline, graph, compare, JSON"], ["↑ ↓ Home End", "move in the rows"], ["← →", "fold and unfold; in the graph: move"], ["Space", "in the graph: fold and unfold"], ["PgUp PgDn", "a page of rows; in the graph: another part of many nodes"],
  ["Enter", "details"], ["Esc", "close details"], ["+ − 0", "zoom the timeline or the graph"],
];

const pageKeys = {
  "?": () => $("keys").showModal(),
  "/": () => (view === taskView ? $("find") : $("f-text")).focus(),
  f: () => view === taskView && finding.jump("next-failure"),
  r: () => view === taskView && finding.jump("next-running"),
  l: () => view === taskView && finding.jump("longest-running"),
};

$("key-list").replaceChildren(...keyList.flatMap(([key, what]) => {
  const dd = element("dd", "", what);
  const dt = element("dt");
  dt.append(element("kbd", "", key));
  return [dt, dd];
}));
$("help").addEventListener("click", () => $("keys").showModal());
addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) || $("keys").open) return;
  const tab = taskView.tabs[e.key - 1];
  const act = new Map(Object.entries(pageKeys)).get(e.key) || (tab && view === taskView && taskView.live && (() => taskView.show(tab)));
  const zoom = { "+": "zoom-in", "-": "zoom-out", 0: "zoom-all" }[e.key];
  if (act) act();
  else if (zoom && view === taskView && taskView.live && !$("zooms").hidden) zooms[zoom]();
  else return;
  e.preventDefault();
});
