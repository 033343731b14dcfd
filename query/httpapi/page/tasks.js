// The filters of the list: their names in the address, and their fields. The address
// says what is asked for. What is typed into a field counts once the form is sent.
// time says which time since and until bound. Without it, this is the time of
// recording, as in the service.
const filters = { bk_biz_id: "f-business", text: "f-text", since: "f-since", until: "f-until" };
const times = ["started", "finished", "recorded"];

// presets are common ranges of time, in the zone of the page.
const presets = {
  "last-hour": (now) => [now - 3600000, NaN],
  today: (now) => [zone.parse(zone.input(now).slice(0, 10) + "T00:00"), NaN],
  "last-night": (now) => {
    const day = zone.input(now).slice(0, 10);
    const before = new Date(Date.parse(day + "T00:00Z") - 86400000).toISOString().slice(0, 10);
    return [zone.parse(before + "T18:00"), Math.min(zone.parse(day + "T08:00"), now)];
  },
};

// stepsOf counts the steps of a task or container: the finished ones and all. Until it
// has ended, its runner may declare more, which the record cannot know.
function stepsOf({ counts = {}, finish_time: ended }) {
  const all = counted(counts).reduce((sum, s) => sum + counts[s], 0);
  return { done: counts.FINISHED || 0, all, soFar: ended ? "" : " so far" };
}

function progress(n) {
  const { done, all, soFar } = stepsOf(n);
  return all ? done + " of " + all + soFar : "";
}

// progressText is the same as a sentence. expected is how many steps the task should
// have in the end, 0 if that is not known.
function progressText(n, expected) {
  const { done, all, soFar } = stepsOf(n);
  if (!all) return "";
  if (soFar && expected > all) return done + " of about " + expected + " steps finished";
  return done + " of " + all + (all === 1 ? " step" : " steps") + " finished" + soFar;
}

// labelLink leads to the tasks with a label.
function labelLink(key, value) {
  const link = element("a", "label", key + "=" + value);
  link.href = "#/?" + new URLSearchParams({ label: key + "=" + value });
  return link;
}

// The list of tasks.
const tasksView = {
  cursors: [], // of the pages before this one, newest first
  cursor: "",

  open(params) {
    $("tasks").hidden = false;
    this.params = params;
    this.asked = null;
    this.cursors = [];
    this.cursor = "";
    this.list = null;
    this.sort = readSort(params.get("sort"));
    this.opened = new AbortController();
    $("task-rows").replaceChildren();
    $("no-tasks").hidden = true;
    $("older").disabled = $("newer").disabled = true;
    if (zone.changes.length) this.fill(); // now, so that it overwrites nothing that is typed
    if (!this.opened.signal.aborted) this.run(this.opened.signal);
  },

  // wrong describes the part of the address that cannot be read, "" if there is none.
  wrong() {
    for (const name of ["since", "until"]) {
      const value = this.params.get(name);
      if (value && isNaN(moment(value))) return unreadable(name, value, aTime);
    }
    const [time, sort] = [this.params.get("time"), this.params.get("sort")];
    if (time !== null && !times.includes(time)) return unreadable("time", time, "one of " + times.join(", "));
    return sort && !this.sort ? unreadable("sort", sort, "one of started, -started, duration, -duration") : "";
  },

  close() {
    this.opened.abort();
    this.loading?.abort();
  },

  async run(opened) {
    const outage = new Outage();
    while (!opened.aborted) {
      try {
        await zone.learn(opened);
        if (opened.aborted) break;
        if (!this.asked) this.fill();
        if (opened.aborted) break;
        const began = Date.now();
        await this.refresh();
        outage.over();
        // A list that takes the service long is read less often.
        await pause(Math.max(3000, Math.min(30000, 50 * (Date.now() - began))));
        while (document.hidden && !opened.aborted) await pause(500);
      } catch (e) {
        if (opened.aborted || e instanceof SignedOut) break;
        if (e.name === "AbortError") continue;
        if (e instanceof Refused) {
          outage.over();
          problem(e.message);
          await pause(3000);
        } else await outage.after(Outage.reason(e), opened);
      }
    }
    outage.end();
  },

  // fill puts into the fields what the address asks for. If it cannot be read, this
  // says so and ends the view.
  fill() {
    const wrong = this.wrong();
    if (wrong) {
      this.opened.abort();
      return nothing(wrong);
    }
    this.asked = { states: new Set(this.params.getAll("state")), labels: this.params.getAll("label") };
    for (const [name, id] of Object.entries(filters)) {
      const value = this.params.get(name) || "";
      const time = value && (name === "since" || name === "until") ? moment(value) : NaN;
      this.asked[name] = isNaN(time) ? value.trim() : new Date(time).toISOString();
      $(id).value = isNaN(time) ? value : zone.input(time);
    }
    this.asked.time = this.params.get("time") || "recorded";
    $("f-time").value = this.asked.since || this.asked.until ? this.asked.time : "started";
    this.drawCounters(null);
    $("f-labels").replaceChildren(...this.asked.labels.map((label) => {
      const button = element("button", "label", label + " ×");
      button.type = "button";
      button.title = "Any " + clean(label);
      button.addEventListener("click", () => this.filter({ labels: this.asked.labels.filter((l) => l !== label) }));
      return button;
    }));
  },

  query() {
    const { states, labels, text, bk_biz_id, since, until, time } = this.asked;
    const query = [["limit", 50], ["cursor", this.cursor], ["bk_biz_id", bk_biz_id], ["text", text]];
    for (const state of states) {
      if (state === "unfinished" || state === "has_failures") query.push([state, "true"]);
      else query.push(["state", state]);
    }
    if (labels.length) query.push(["labels", JSON.stringify(Object.fromEntries(labels.map((l) => [l.split("=", 1)[0], l.slice(l.indexOf("=") + 1)])))]);
    for (const [name, value] of [["since", since], ["until", until]]) if (value) query.push([(time === "recorded" ? "" : time + "_") + name, value]);
    if (this.sort) query.push(["sort", writeSort(this.sort)]);
    return query;
  },

  async refresh() {
    this.loading?.abort();
    const { signal } = (this.loading = new AbortController());
    try {
      const list = await this.page(signal);
      if (signal.aborted) return;
      this.show(list);
      problem(list.missing ? "A part of the store cannot be reached: its tasks are missing here." : "");
      mark("live", "live");
      await this.count(signal);
    } catch (e) {
      if (signal.aborted) return;
      if (!(e instanceof Refused && this.cursor)) throw e;
      // A restarted service does not know the cursors that it returned before.
      this.cursors = [];
      this.cursor = "";
      return this.refresh();
    }
  },

  // page reads until a page is full. The service examines a limited number of tasks
  // for a request, and only a few of them may match.
  async page(signal) {
    const query = this.query();
    const all = await load("tasks", query, signal);
    for (this.requests = 1; all.cursor && all.tasks.length < 50; this.requests++) {
      this.show(all);
      $("no-tasks").hidden = false;
      $("no-tasks").textContent = "Searching older tasks … (" + this.requests * 10000 + " looked at)";
      query.find((p) => p[0] === "cursor")[1] = all.cursor;
      query.find((p) => p[0] === "limit")[1] = 50 - all.tasks.length;
      const more = await load("tasks", query, signal);
      if (signal.aborted) return;
      all.tasks.push(...more.tasks);
      all.cursor = more.cursor;
      all.missing = more.missing;
      all.now = more.now;
    }
    return all;
  },

  // count asks from time to time how many tasks are in each state.
  async count(signal) {
    const asked = JSON.stringify([this.asked.bk_biz_id, this.asked.text, this.asked.since, this.asked.until, this.asked.time, this.asked.labels]);
    if (this.countedFor === asked && Date.now() < this.countAt) return;
    const query = this.query().filter(([name]) => !["state", "unfinished", "has_failures", "limit", "cursor", "sort"].includes(name));
    const counts = await load("counts", query, signal);
    if (signal.aborted) return;
    this.countedFor = asked;
    this.countAt = Date.now() + 15000;
    this.drawCounters(counts);
  },

  // drawCounters draws the filters by state, with the numbers of tasks.
  drawCounters(told) {
    if (told) this.counts = { ...told.states, unfinished: told.unfinished, has_failures: told.has_failures, more: told.more };
    const counts = this.counts || {};
    const more = counts.more ? "+" : "";
    counters($("f-states"), [...states.filter((s) => s !== "FINISHED"), "FINISHED", "unfinished", "has_failures"], this.asked.states, (s) => {
      const words = s.replace("has_", "with ");
      const number = counts[s] === undefined ? (this.counts && states.includes(s) ? "0 " : "") : counts[s] + more + " ";
      return states.includes(s) ? stateBadge(s, number + words) : number + words;
    }, (s) => {
      const next = new Set(this.asked.states);
      if (!next.delete(s)) next.add(s);
      this.filter({ states: next });
    });
  },

  show(list) {
    this.list = list;
    learnClock(list.now);
    this.drawRows();
    this.next = list.cursor;
    $("no-tasks").hidden = list.tasks.length > 0;
    $("no-tasks").textContent = "No tasks.";
    $("older").disabled = !list.cursor;
    $("newer").disabled = this.cursors.length === 0;
  },

  drawRows() {
    if (!this.list) return;
    // A row belongs to its task, wherever the task stands now.
    const rows = new Map([...$("task-rows").children].map((row) => [row.dataset.key, row]));
    const shown = this.list.tasks.map((t) => this.row(t, rows.get(this.key(t))));
    const stay = shown.length === rows.size && shown.every((row, i) => row === $("task-rows").children[i]);
    const had = document.activeElement;
    if (!stay) $("task-rows").replaceChildren(...shown);
    if (!stay && $("task-rows").contains(had)) had.focus({ preventScroll: true });
    $("sorted").hidden = !this.sort || !this.list.more;
    $("sorted").textContent = "Sorted among the newest 10,000 tasks. Older tasks are left out: bound the time to see them.";
    for (const th of document.querySelectorAll("#task-table th[data-sort]")) {
      th.ariaSort = this.sort?.by === th.dataset.sort ? (this.sort.sign < 0 ? "descending" : "ascending") : "none";
    }
  },

  key: (t) => JSON.stringify([t.bk_biz_id, t.task_id]),

  // row is the row of a task, the one that it had if it had one.
  row(t, row = element("tr")) {
    const cells = [];
    const cell = (className, ...content) => {
      const td = element("td", className);
      td.append(...content);
      cells.push(td);
    };
    row.dataset.key = this.key(t);
    const link = element("a", "clamp", t.name || t.task_id);
    link.title = clean(t.name || t.task_id);
    link.href = "#/task?" + new URLSearchParams({ bk_biz_id: t.bk_biz_id, task_id: t.task_id });
    const labels = element("span", "labels");
    labels.append(...Object.entries(t.labels || {}).map(([k, v]) => labelLink(k, v)));
    const rest = counted(t.counts).filter((s) => s !== "FINISHED").map((s) => t.counts[s] + " " + s.toLowerCase()).join(", ");
    cell("", stateBadge(t.state), element("span", "narrow", ""));
    if (t.counts.FAILED) cells[0].lastChild.append(stateBadge("FAILED", t.counts.FAILED + " failed"));
    cell("", link, element("span", "hint", t.name ? t.task_id : ""), labels);
    cell("wide", clean(t.bk_biz_id));
    cell("wide", progress(t), element("span", "hint", rest));
    const started = showTime(t.start_time || t.recorded_time).split(" ");
    cell("time", element("span", t.start_time ? "" : "hint", started[0]), " ", element("span", t.start_time ? "" : "hint", started[1]), element("span", "hint", showAgo(t.start_time || t.recorded_time)));
    cell("time", ...this.took(t));
    renew(row, ...cells);
    return row;
  },

  // took is how long a task ran. The clock of a task that waits for a person stopped
  // at its last event.
  took(t) {
    if (!t.start_time) return [""];
    const stands = taskStands(t);
    const took = (milliseconds(stands) || serverNow()) - milliseconds(t.start_time);
    return [element("span", "", showDuration(took)), element("span", "hint", stands ? t.state.toLowerCase() + " " + showAgo(stands) : "so far")];
  },

  // filter opens the list that the fields and some changes ask for.
  filter(changes = {}) {
    const asked = { ...this.asked, ...changes };
    const params = new URLSearchParams();
    for (const state of asked.states || []) params.append("state", state);
    for (const label of asked.labels || []) params.append("label", label);
    for (const [name, id] of Object.entries(filters)) {
      const value = $(id).value;
      if (value) params.set(name, $(id).type === "datetime-local" ? new Date(zone.parse(value)).toISOString() : value);
    }
    if (params.has("since") || params.has("until")) params.set("time", $("f-time").value);
    if (this.sort) params.set("sort", writeSort(this.sort));
    // Assigning the hash would open the view later and overwrite what is typed then.
    const address = "#/?" + params;
    if (location.hash !== address) history.pushState(null, "", address);
    route();
  },

  // sortBy sorts all tasks of the list by a column, and shows the first page.
  sortBy(sort) {
    this.sort = sort;
    if (sort) this.params.set("sort", writeSort(sort));
    else this.params.delete("sort");
    history.replaceState(null, "", "#/?" + this.params);
    this.cursors = [];
    this.cursor = "";
    this.again();
  },

  again() {
    if (!this.asked) return;
    $("older").disabled = $("newer").disabled = true;
    this.refresh().catch((e) => e instanceof SignedOut || problem(e.message));
  },

  turn(older) {
    if (older) {
      this.cursors.push(this.cursor);
      this.cursor = this.next;
    } else this.cursor = this.cursors.pop();
    this.again();
  },
};

// taskStands is when a task ended or, if it waits for a person, when something
// happened last. It is "" while the clock of the task runs.
const taskStands = (t) => t.finish_time || (t.state !== "RUNNING" && !t.counts.RUNNING && !t.pending ? t.updated_time : "");

// A sort is the name of a column, with a minus if the largest value comes first.
const writeSort = ({ by, sign }) => (sign < 0 ? "-" : "") + by;

function readSort(text) {
  const [, minus, by] = (text || "").match(/^(-?)(started|duration)$/) || [];
  return by ? { by, sign: minus ? -1 : 1 } : null;
}

for (const th of document.querySelectorAll("#task-table th[data-sort] button")) {
  th.addEventListener("click", () => {
    const by = th.parentElement.dataset.sort;
    const sort = tasksView.sort;
    tasksView.sortBy(sort?.by !== by ? { by, sign: -1 } : sort.sign < 0 ? { by, sign: 1 } : null);
  });
}
$("filter").addEventListener("submit", (e) => {
  e.preventDefault();
  tasksView.filter();
});
$("f-clear").addEventListener("click", () => {
  $("filter").reset();
  tasksView.filter({ states: [], labels: [] });
});
for (const button of document.querySelectorAll("[data-preset]")) {
  button.addEventListener("click", () => {
    const [since, until] = presets[button.dataset.preset](serverNow());
    $("f-time").value = "started";
    $("f-since").value = zone.input(since);
    $("f-until").value = isNaN(until) ? "" : zone.input(until);
    tasksView.filter();
  });
}
$("older").addEventListener("click", () => tasksView.turn(true));
$("newer").addEventListener("click", () => tasksView.turn(false));
