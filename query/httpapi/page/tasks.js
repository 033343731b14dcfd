// What the list is filtered by: the names in the address, and their fields.
// The address says what is asked for; what is in a field counts from when the
// filter is sent.
const filters = { bk_biz_id: "f-business", state: "f-state", text: "f-text", since: "f-since", until: "f-until" };

// The list of tasks.
const tasksView = {
  cursors: [], // of the pages before this one, newest first
  cursor: "",

  open(params) {
    this.asked = {};
    for (const [name, id] of Object.entries(filters)) {
      $(id).value = params.get(name) || "";
      this.asked[name] = $(id).value.trim();
    }
    this.cursors = [];
    this.cursor = "";
    $("task-rows").replaceChildren();
    $("no-tasks").hidden = true;
    $("older").disabled = $("newer").disabled = true;
    this.refresh();
    this.timer = setInterval(() => document.hidden || this.refresh(), 3000);
  },

  close() {
    clearInterval(this.timer);
    this.loading?.abort();
  },

  query() {
    const { bk_biz_id, state, text, ...bounds } = this.asked;
    const query = { limit: 50, cursor: this.cursor, bk_biz_id, text };
    if (state === "unfinished") query.unfinished = "true";
    else if (state) query.state = state;
    for (const [name, value] of Object.entries(bounds)) if (value) query[name] = new Date(value).toISOString();
    return query;
  },

  async refresh() {
    this.loading?.abort();
    const loading = (this.loading = new AbortController());
    try {
      const list = await load("tasks", this.query(), loading.signal);
      if (loading.signal.aborted) return;
      this.show(list);
      problem("");
      mark("live", "live");
    } catch (e) {
      if (loading.signal.aborted || e instanceof SignedOut) return;
      if (e instanceof Refused && this.cursor) {
        // A service that started again does not know the cursors it gave before.
        this.cursors = [];
        this.cursor = "";
        return this.refresh();
      }
      if (e instanceof Refused) problem(e.message);
      else mark("reconnecting", "reconnecting");
    }
  },

  show(list) {
    learnClock(list.now);
    const had = document.activeElement?.dataset?.key;
    $("task-rows").replaceChildren(...list.tasks.map((t) => this.row(t)));
    if (had) [...$("task-rows").querySelectorAll("a")].find((a) => a.dataset.key === had)?.focus();
    this.next = list.cursor;
    $("no-tasks").hidden = list.tasks.length > 0;
    $("no-tasks").textContent = list.cursor ? "None among the tasks looked at so far; older ones may match." : "No tasks.";
    $("older").disabled = !list.cursor;
    $("newer").disabled = this.cursors.length === 0;
  },

  row(t) {
    const row = element("tr");
    const cell = (className, ...content) => {
      const td = element("td", className);
      td.append(...content);
      row.append(td);
    };
    const link = element("a", "", t.name || t.task_id);
    link.href = "#/task?" + new URLSearchParams({ bk_biz_id: t.bk_biz_id, task_id: t.task_id });
    link.dataset.key = t.bk_biz_id + "/" + t.task_id;
    const counts = element("span", "hint", counted(t.counts).map((s) => t.counts[s] + " " + s.toLowerCase()).join(", "));
    cell("", stateBadge(t.state));
    cell("", link, element("span", "hint", t.name ? t.task_id : ""));
    cell("wide", t.bk_biz_id);
    cell("wide", String(t.nodes), counts);
    cell("time", ...showTime(t.recorded_time).split(" ").flatMap((part) => [element("span", "", part), " "]));
    cell("time", duration(t, serverNow()));
    return row;
  },

  filter() {
    const params = new URLSearchParams();
    for (const [name, id] of Object.entries(filters)) if ($(id).value) params.set(name, $(id).value);
    // Assigning the hash would open the view later, over what was typed since.
    const address = "#/?" + params;
    if (location.hash !== address) history.pushState(null, "", address);
    route();
  },

  turn(older) {
    if (older) {
      this.cursors.push(this.cursor);
      this.cursor = this.next;
    } else this.cursor = this.cursors.pop();
    this.refresh();
  },
};

$("filter").addEventListener("submit", (e) => {
  e.preventDefault();
  tasksView.filter();
});
$("f-clear").addEventListener("click", () => {
  $("filter").reset();
  tasksView.filter();
});
$("older").addEventListener("click", () => tasksView.turn(true));
$("newer").addEventListener("click", () => tasksView.turn(false));
