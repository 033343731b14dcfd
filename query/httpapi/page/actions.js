// What a person may ask the runner to do, where there is one.
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
  // These cannot be taken back, and are asked for twice.
  final: new Set(["revoke", "forced_fail"]),

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
    let sure = !this.final.has(action);
    button.addEventListener("click", async () => {
      if (!sure) {
        sure = true;
        button.textContent = "Really " + button.textContent.toLowerCase() + "?";
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

  draw(task, model, chosen, query) {
    const root = model.root;
    const may = task.live.operable && !task.past;
    this.show($("t-actions"), (may && this.forTask.get(root.state)) || [], query);
    const node = chosen && chosen !== root;
    this.show($("d-actions"), (may && node && this.forNode.get(chosen.state)) || [], { ...query, node_id: chosen?.id });
  },
};

