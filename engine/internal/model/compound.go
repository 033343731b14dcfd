package model

import "github.com/pipestatus/pipestatus/state"

// walk is a begin or report in progress: each step is chosen from the node's
// current state, until the node has the wanted state.
type walk struct {
	store *Store
	task  *task
	op    state.Op
	node  *node // nil until it is declared
	do    func(state.Op) (Outcome, string)
	did   []state.OpKind
	steps []Outcome
}

func (s *Store) compound(t *task, op state.Op, do func(state.Op) (Outcome, string)) (Outcome, string) {
	w := &walk{store: s, task: t, op: op, do: do, did: []state.OpKind{}}
	way := w.report
	if op.Kind == state.Begin {
		way = w.begin
	}
	if code := way(); code != "" {
		return Outcome{}, code
	}
	return Outcome{Node: w.node.id, Version: w.node.now().Version, Repeat: len(w.did) == 0, Did: w.did, Steps: w.steps}, ""
}

// step applies one operation.
func (w *walk) step(kind state.OpKind) (code string) {
	op := state.Op{Kind: kind, Actor: w.op.Actor, At: w.op.At, Now: w.op.Now}
	if w.node != nil {
		op.Node = w.node.id
	}
	switch kind {
	case state.Reopen:
		op.Node, op.Task = "", w.task.key
	case state.Declare:
		op = w.op // with the place and the properties of the new node
		op.Kind, op.From, op.Input = kind, "", nil
	case state.Start:
		op.From, op.Input = w.op.From, w.op.Input
	case state.Loop:
		op.NewVersion, op.From, op.Input = w.op.NewVersion, w.op.From, w.op.Input
	case state.Retry, state.Reset:
		op.NewVersion = w.op.NewVersion
	case state.Finish:
		op.Output = w.op.Output
	case state.Revoke:
		op.Error = w.op.Error
	case state.Fail:
		op.Error, op.Output = w.op.Error, w.op.Output
		if w.op.Kind == state.Begin {
			op.Error = "interrupted"
		}
	}
	out, code := w.do(op)
	if code != "" {
		return code
	}
	w.did, w.steps = append(w.did, kind), append(w.steps, out)
	w.node = w.task.find(out.Node)
	if kind == state.Start && w.op.VersionGiven {
		w.node.now().Version = w.op.NewVersion
	}
	return ""
}

func (w *walk) begin() string {
	t, op, parent := w.task, w.op, ""
	if op.NodeKind != state.Pipeline {
		container, code := w.store.container(t, op)
		if code != "" {
			return code
		}
		parent = container.id
	}
	if _, code := t.origin(parent, op); code != "" {
		return code
	}
	n, code := w.store.named(t, op)
	if n == nil {
		if op.NodeKind == state.Pipeline {
			return code
		}
		if code := w.step(state.Declare); code != "" {
			return code
		}
		return w.run()
	}
	if n.parent != parent || n.kind != op.NodeKind || op.Key != "" && n.key != op.Key {
		return Exists
	}
	w.node = n
	for i, a := range n.attempts {
		superseded := i < len(n.attempts)-1
		if op.VersionGiven && a.Version == op.NewVersion && (superseded || a.Started.IsSet() || over(a.State)) {
			return ""
		}
	}
	now := n.now()
	continues := !n.leaf() && now.Started.IsSet() && !over(now.State)
	if op.Input != nil && continues {
		return InvalidArgument // no attempt begins
	}
	if n.leaf() && now.Started.IsSet() && !over(now.State) {
		if code := w.step(state.Fail); code != "" {
			return code
		}
	}
	return w.run()
}

// run leads the node to RUNNING.
func (w *walk) run() string {
	for w.node.now().State != state.Running {
		kind := map[state.State]state.OpKind{
			state.Created: state.Start, state.Suspended: state.Resume, state.Failed: state.Retry,
			state.Finished: state.Loop, state.Revoked: state.Reset,
		}[w.node.now().State]
		if kind.NewAttempt() && w.node.parent == "" {
			kind = state.Reopen
		}
		if code := w.step(kind); code != "" {
			return code
		}
	}
	return ""
}

func (w *walk) report() string {
	n, code := w.store.named(w.task, w.op)
	if code != "" {
		return code
	}
	to := w.op.State
	w.node = n
	if w.op.Loop != 0 && n.parent != "" {
		return InvalidArgument
	}
	now := *n.now()
	if !isAbout(w.op, &now) {
		for i := range n.attempts {
			if isAbout(w.op, &n.attempts[i]) {
				return "" // superseded
			}
		}
		return VersionMismatch
	}
	switch {
	case now.State == to:
		return ""
	case to == state.Created:
		if now.State == state.Suspended && !now.Started.IsSet() {
			return w.step(state.Resume)
		}
	case to == state.Revoked && now.State != state.Finished:
		return w.step(state.Revoke)
	}
	named := w.op.Version.IsSet() || w.op.Loop != 0
	if to == state.Created || to == state.Revoked || named && over(now.State) {
		if named && passed(&now, to) {
			return ""
		}
		return InvalidTransition
	}
	last, direct := state.OpKind(0), false
	switch working := now.State == state.Suspended && now.Started.IsSet() && n.leaf(); to {
	case state.Finished:
		last, direct = state.Finish, working
	case state.Failed:
		last, direct = state.Fail, working
	case state.Suspended:
		last, direct = state.Suspend, now.State == state.Created
	}
	if !direct {
		if code := w.run(); code != "" {
			return code
		}
	}
	if last == 0 {
		return ""
	}
	return w.step(last)
}

// passed reports whether an attempt has passed the state of a late report.
func passed(a *state.Attempt, st state.State) bool {
	switch st {
	case state.Created:
		return a.Started.IsSet() || over(a.State)
	case state.Running:
		return a.Started.IsSet()
	case state.Suspended:
		return over(a.State)
	case state.Failed:
		return over(a.State) && happened(a, state.Op{Kind: state.Fail})
	}
	return false
}
