// The operations that a person may ask the runner for, if there is a runner.
const actionsView = {
  // The actions that make sense for a task or node, by its state.
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
  // All other actions have lasting effects and need a second click.
  harmless: new Set(["pause", "resume"]),
  // The names of the actions in the commands that the page offers to copy.
  recorded: new Map([["pause", "suspend"], ["resume", "resume"], ["revoke", "revoke"], ["retry", "retry"], ["skip", "skip"]]),

  // show puts buttons into a box. It keeps buttons that are there already.
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
        if (e instanceof Refused) problem(e.message);
        else Outage.tell();
      }
      button.disabled = false;
    });
    return button;
  },

  // command is a shell command that records an action if no runner has the file open.
  command(action, node) {
    const op = JSON.stringify({ op: this.recorded.get(action), node });
    return "echo '" + op.replaceAll("'", "'\\''") + "' | statusctl apply -db FILE";
  },

  // offer puts buttons that copy commands into a box, where the page may not operate.
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
