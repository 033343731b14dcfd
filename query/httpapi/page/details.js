// The details of one node: its error first, then its fields and attempts.
const detailsView = {
  // open changes to another node. undefined closes the details.
  open(n) {
    $("details").hidden = !n;
    $("d-name").classList.remove("whole");
    $("d-attempts").replaceChildren();
    $("d-data").replaceChildren();
    $("d-operations").replaceChildren();
    this.attemptsOf = this.errorOf = null;
  },

  draw(view) {
    const model = view.shown;
    const n = view.chosen && model?.find(view.chosen);
    if (!n) return;
    $("d-name").textContent = $("d-name").title = clean(nameOf(n));
    this.drawError(n);
    const field = (name, value) => value !== undefined && value !== "" && fields.push([name, value]);
    const fields = [];
    field("State", n.state);
    field("Kind", kindLabel(n.kind));
    field("Remarks", [...view.late(n), ...remarks(n)].join(", "));
    field("Started", showTime(n.start_time));
    field("Finished", n.finish_time ? showEnd(n.start_time || n.finish_time, n.finish_time) : "");
    field("Duration", model.duration(n, view.now()));
    field("Usually", usual.long(n));
    field("Key", n.key);
    field("Waits for", n.note);
    field("ID", n.id);
    field("Version", n.version);
    renew($("d-fields"), ...fields.flatMap(([k, v]) => {
      const dd = element("dd");
      dd.append(k === "State" ? stateBadge(v) : apart(String(v)));
      return [element("dt", "", k), dd];
    }));
    // The list has all recorded attempts, even if the page shows the past.
    const current = JSON.stringify([n.version, n.state, n.start_time, n.finish_time, n.error]);
    if (this.attemptsOf !== null && (view.past || this.attemptsOf === current)) return;
    this.attemptsOf = current;
    this.loadHistory(view);
  },

  // drawError puts the whole error text at the top, scrolled to its end, where programs
  // say what went wrong.
  drawError(n) {
    if (this.errorOf === (n.error || "")) return;
    this.errorOf = n.error || "";
    $("d-error").hidden = !n.error;
    if (!n.error) return;
    const text = element("pre", "error", n.error);
    text.tabIndex = 0;
    text.ariaLabel = "Error text";
    $("d-error").replaceChildren(element("p", "cause", n.cause), text, copyButton("Copy error", () => plain(n.error)));
    text.scrollTop = text.scrollHeight;
  },

  async loadHistory(view) {
    const [id, of] = [view.chosen, this.attemptsOf];
    const data = await view.attempt(() => load("history", { ...view.query, node_id: id }, view.opened.signal));
    if (of !== this.attemptsOf || id !== view.chosen) return;
    if (!data) {
      this.attemptsOf = ""; // so that the next draw asks again
      return;
    }
    const current = data.attempts.at(-1);
    $("d-data").replaceChildren(...this.data("Output", current.output, current.output_base64, true), ...this.data("Input", current.input, current.input_base64));
    $("d-operations").replaceChildren(...this.operations(data.operations));
    $("d-attempts").replaceChildren(...data.attempts.toReversed().map((a, i) => this.attempt(a, data.attempts.length - i)));
  },

  // operations lists what people did to the node, newest first.
  operations(list) {
    if (!list.length) return [];
    const items = list.toReversed().map((step) => {
      const item = element("li");
      item.append(step.op + " by ", apart(step.actor), " ", element("span", "hint time", showTime(step.time)));
      return item;
    });
    const box = element("ul");
    box.append(...items);
    return [element("h3", "", "Operations"), box];
  },

  attempt(a, number) {
    const item = element("li", "attempt");
    item.style.borderColor = "var(--" + a.state.toLowerCase() + ")";
    const head = element("p");
    const notes = ["#" + number, a.current && "current", a.loop > 1 && "loop " + a.loop, a.skip && "skipped", a.error_ignored && "error ignored"];
    head.append(stateBadge(a.state), element("span", "kind", " " + notes.filter(Boolean).join(" · ")));
    item.append(head);
    if (a.start_time) {
      const end = a.finish_time ? " – " + showEnd(a.start_time, a.finish_time) : "";
      const took = a.finish_time ? " · " + showDuration(milliseconds(a.finish_time) - milliseconds(a.start_time)) : "";
      item.append(element("p", "hint time", showTime(a.start_time) + end + took));
    }
    if (a.error) {
      const whole = element("details");
      whole.append(element("summary", "", cause(a.error)), element("pre", "error", a.error));
      item.append(a.current ? element("p", "", cause(a.error)) : whole);
    }
    if (!a.current) item.append(...this.data("Output", a.output, a.output_base64), ...this.data("Input", a.input, a.input_base64));
    return item;
  },

  // data shows the input or output of an attempt: its last lines, all of it on request,
  // and a button that copies the recorded bytes.
  data(title, text, base64, open) {
    if (!text && !base64) return [];
    const box = element("details", "data");
    box.open = open;
    box.append(element("summary", "", title));
    if (base64) {
      box.append(element("p", "hint", atob(base64).length + " bytes that are no text."), copyButton("Copy base64", () => base64));
      return [box];
    }
    const whole = clean(readable(text));
    const last = ending(whole, 8);
    const shown = element("pre", "output", last);
    shown.tabIndex = 0;
    shown.ariaLabel = title;
    box.append(shown);
    if (last.length < whole.trimEnd().length) {
      const more = element("button", "copy", "Show all " + whole.trimEnd().split("\n").length + " lines");
      more.type = "button";
      more.addEventListener("click", () => {
        shown.textContent = whole;
        more.remove();
      });
      box.append(more);
    }
    box.append(copyButton("Copy " + title.toLowerCase(), () => text));
    return [box];
  },
};
