// The actions that a person may request from the runner, if there is one.
const actionsView = {
  // of the actions that a task or node may be ready for, by its state.
  forTask: new Map([
    ["CREATED", ["pause", "revoke"]], ["RUNNING", ["pause", "revoke"]],
    ["FAILED", ["pause", "revoke"]], ["SUSPENDED", ["resume", "revoke"]],
  ]),
  forNode: new Map([
    ["CREATED", ["pause"]], ["RUNNING", ["pause", "forced_fail"]],
    ["FAILED", ["retry", "skip"]], ["SUSPENDED", ["resume"]],
  ]),
  labels: new Map([
    ["pause", "Pause"], ["resume", "Resume"], ["revoke", "Revoke"], ["retry", "Retry"], ["skip", "Skip"], ["forced_fail", "Make it fail"],
  ]),
  // All but these change what runs, and are asked for twice.
  harmless: new Set(["pause", "resume"]),
  // The names in statusctl of actions that the page cannot request: for a command to
  // copy.
  recorded: new Map([["pause", "suspend"], ["resume", "resume"], ["revoke", "revoke"], ["retry", "retry"], ["skip", "skip"]]),

  // show puts buttons into a box, unless they are there already.
  show(box, actions, query) {
    const shown = JSON.stringify([actions, query]);
    if (box.dataset.shown === shown) return;
    box.dataset.shown = shown;
    box.replaceChildren(...actions.map((action) => this.button(action, query)));
  },

  button(action, query) {
    const button = element("button", "", this.labels.get(action));
    button.type = "button";
    button.dataset.action = action;
    let sure = this.harmless.has(action);
    button.addEventListener("click", async () => {
      if (!sure) {
        sure = true;
        button.textContent = "Really " + button.textContent.toLowerCase() + "?";
        setTimeout(() => {
          sure = false;
          button.textContent = this.labels.get(action);
        }, 5000);
        return;
      }
      button.disabled = true;
      try {
        await operate({ ...query, action });
        problem("");
      } catch (e) {
        if (e instanceof SignedOut) return;
        problem(e instanceof Refused ? e.message : "The service does not answer.");
      }
      button.disabled = false;
    });
    return button;
  },

  // command does to the record what an action does, where no runner has it open.
  command(action, node) {
    const op = JSON.stringify({ op: this.recorded.get(action), node });
    return "echo '" + op.replaceAll("'", "'\\''") + "' | statusctl apply -db FILE";
  },

  // offer puts buttons that copy commands into a box, where nothing else is allowed.
  offer(box, actions, node) {
    const shown = JSON.stringify(["copy", actions, node]);
    if (box.dataset.shown === shown) return;
    box.dataset.shown = shown;
    box.replaceChildren(...actions.filter((a) => this.recorded.has(a)).map((action) => {
      const button = copyButton("Copy command: " + this.labels.get(action).toLowerCase(), () => this.command(action, node));
      button.dataset.copy = action;
      button.title = clean("This page may not operate the task: " + this.command(action, node));
      return button;
    }));
  },

  draw(task, model, chosen, query) {
    const root = model.root;
    const forTask = task.past ? [] : this.forTask.get(root.state) || [];
    const forNode = task.past || !chosen || chosen === root ? [] : this.forNode.get(chosen.state) || [];
    $("d-command").hidden = true;
    if (task.live.operable) {
      this.show($("t-actions"), forTask, query);
      this.show($("d-actions"), forNode, { ...query, node_id: chosen?.id });
    } else {
      this.show($("t-actions"), [], query);
      this.offer($("d-actions"), chosen === root ? forTask : forNode.filter((a) => a === "retry" || a === "skip" || a === "resume"), chosen?.id);
      $("d-command").hidden = !$("d-actions").childElementCount;
    }
  },
};
