package state

import (
	"cmp"
	"fmt"
)

// Stores accept transitions from any caller and read files of any origin, so they
// check a transition before keeping it: [Transition.Validate] checks it alone, and
// [Change.Follows] checks whether a change follows from the node's previous values.
// Neither checks whether the operation was legal. Every result of [Tree.Apply]
// passes both.

// Validate checks a transition without knowing its task. The error matches
// [ErrMalformed] and names an ID, text, time, count or state out of its range, a node
// that is listed twice, or an inconsistent attempt. It ignores the sequence, and
// allocates only for an error.
func (tr *Transition) Validate() error {
	if err := tr.Task.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !tr.Op.Valid() {
		return fmt.Errorf("%w: unknown operation %d", ErrMalformed, tr.Op)
	}
	if err := cmp.Or(CheckTime("time", tr.At), CheckTime("recording time", tr.Recorded)); err != nil {
		return fmt.Errorf("%w: a %s: %w", ErrMalformed, tr.Op, err)
	}
	if err := CheckActor(tr.Actor); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if tr.Op == Delete {
		if tr.Shown != 0 || tr.Pending != 0 || len(tr.Changes) > 0 || tr.Labels != (Labels{}) || tr.Data != nil {
			return fmt.Errorf("%w: a delete with an outcome", ErrMalformed)
		}
		return nil
	}
	if tr.Labels != (Labels{}) && tr.Op != Create && tr.Op != Label {
		return fmt.Errorf("%w: a %s with labels", ErrMalformed, tr.Op)
	}
	if err := tr.Labels.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !tr.Shown.Valid() || (len(tr.Changes) == 0) != (tr.Op == Label) || tr.Pending < 0 || tr.Pending > maxCount {
		return fmt.Errorf("%w: a %s without outcome", ErrMalformed, tr.Op)
	}
	for i := range tr.Changes {
		c := &tr.Changes[i]
		if i > 0 && (c.Index == tr.Changes[0].Index || i > 1 && c.Index <= tr.Changes[i-1].Index) {
			return fmt.Errorf("%w: a %s lists node %d twice or out of order", ErrMalformed, tr.Op, c.Index)
		}
		if err := c.validate(tr.Op, i == 0); err != nil {
			return fmt.Errorf("%w: node %q: %w", ErrMalformed, c.ID, err)
		}
	}
	return tr.validateData()
}

// validate checks one change of an operation; first says that it is the one of
// the node that the operation named.
func (c *Change) validate(op OpKind, first bool) error {
	if err := validNode(c.ID, c.Index, c.Kind, &c.Progress); err != nil {
		return err
	}
	isNew := first && (op == Create || op == Declare)
	switch {
	case isNew != (c.Declared != nil) || isNew != (c.From == 0) || c.From != 0 && !c.From.Valid():
		return malformed("a %s that declares it or does not, from state %d", op, c.From)
	case (c.Superseded != nil) != (first && op.NewAttempt() || op == Reset):
		return malformed("a %s that supersedes an attempt or does not", op)
	case isNew:
		if c.Began != op || c.State != Created || c.Number() != 1 {
			return malformed("a new node that has a past")
		}
		return c.Declared.validate(c.Index, c.Kind)
	case c.Superseded != nil:
		return c.validateSuperseded(op, first)
	}
	return nil
}

// validateSuperseded checks a new attempt against the one that it supersedes.
func (c *Change) validateSuperseded(op OpKind, first bool) error {
	old := c.Superseded
	if err := old.validate(c.Index, c.Kind); err != nil {
		return err
	}
	switch {
	case old.State != c.From || old.Version != c.Supersedes || op != c.Began || !first && !c.Along:
		return malformed("a new attempt that does not name the one before")
	case old.Number()+1 != c.Number() ||
		c.Loop < old.Loop || c.Retries < old.Retries || c.Skips < old.Skips:
		return malformed("attempt %d after %d", c.Number(), old.Number())
	}
	return nil
}

// Validate checks the values of a node; an error matches [ErrMalformed]. It ignores
// the parent's ID.
func (n *Node) Validate() error {
	err := validNode(n.ID, n.Index, n.Kind, &n.Progress)
	if err == nil {
		err = n.Declaration.validateShape(n.Index, n.Kind)
	}
	if err != nil {
		return fmt.Errorf("%w: node %q: %w", ErrMalformed, n.ID, err)
	}
	return nil
}

// Validate checks the values of an attempt; an error matches [ErrMalformed].
func (a *Attempt) Validate(index int, kind Kind) error {
	if err := a.validate(index, kind); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

func validNode(id string, index int, kind Kind, p *Progress) error {
	if err := CheckID("node ID", id); err != nil {
		return err
	}
	switch {
	case index < 0 || index >= maxCount:
		return malformed("index %d", index)
	case !kind.Valid() || (index == 0) != (kind == Pipeline):
		return malformed("a %s at index %d", kind, index)
	}
	if err := CheckTime("time of the last transition", p.Updated); err != nil {
		return err
	}
	switch again := p.Began.NewAttempt(); {
	case again && (index == 0) != (p.Began == Reopen),
		!again && p.Began != Create && p.Began != Declare, again != (p.Number() > 1):
		return malformed("attempt %d begun by a %s", p.Number(), p.Began)
	case p.Supersedes.IsSet() != (again && index > 0):
		return malformed("supersedes %q", p.Supersedes)
	case p.Note != "" && (p.State != Suspended || p.Note != CutError(p.Note)):
		return malformed("a note that is too long, not UTF-8, or of a node that is %s", p.State)
	}
	return p.Attempt.validate(index, kind)
}

func (a *Attempt) validate(index int, kind Kind) error {
	switch {
	case !a.State.Valid():
		return malformed("state %d", a.State)
	case a.Began != 0 && !a.Began.Valid() || a.Along && a.Began != Reset:
		return malformed("begun by a %s, along %t", a.Began, a.Along)
	case a.Loop < 1 || a.Retries < 0 || a.Skips < 0 ||
		max(a.Loop, a.Retries, a.Skips) > maxCount || a.Number() > maxCount:
		return malformed("counts %d, %d and %d", a.Loop, a.Retries, a.Skips)
	case a.Version.IsSet() != (index > 0):
		return malformed("version %q", a.Version)
	case !a.Started.Valid():
		return outside("start time", a.Started)
	case !a.Finished.Valid():
		return outside("finish time", a.Finished)
	case !a.RetryAt.Valid():
		return outside("retry-at", a.RetryAt)
	case a.Finished.IsSet() != a.State.Ended(), a.State == Created && a.Started.IsSet(),
		(a.State == Running || a.State == Finished || a.State == Failed) && !a.Started.IsSet():
		return malformed("%s with times that do not fit", a.State)
	case (a.Skipped || a.ErrorIgnored) && a.State != Finished,
		a.RetryAt.IsSet() && (a.State != Failed || kind.Container()):
		return malformed("%s with what does not fit", a.State)
	case a.CameFrom < 0 || a.CameFrom >= maxCount || a.CameFrom > 0 && index == 0:
		return malformed("an attempt that came from node %d", a.CameFrom)
	case a.Error != "" && a.Error != CutError(a.Error):
		return malformed("an error text that is too long or not UTF-8")
	}
	return nil
}

func (d *Declaration) validate(index int, kind Kind) error {
	if index == 0 {
		if d.Parent != "" {
			return malformed("a root with a parent")
		}
	} else if err := CheckID("parent ID", d.Parent); err != nil {
		return err
	}
	return d.validateShape(index, kind)
}

// validateShape is validate without the parent's ID.
func (d *Declaration) validateShape(index int, kind Kind) error {
	switch {
	case index == 0 && (d.ParentIndex != -1 || d.NoRetry || d.NoSkip || d.MaxLoops != 0 || d.Key != "" || d.After != (Edges{})):
		return malformed("a root that is declared like another node")
	case index > 0 && (d.ParentIndex < 0 || d.ParentIndex >= index):
		return malformed("node %d in %d", index, d.ParentIndex)
	case d.MaxLoops < 0 || d.MaxLoops > maxCount:
		return malformed("loop limit %d", d.MaxLoops)
	case d.Name != "" && d.Name == kind.Class():
		return malformed("the name of its kind as its own")
	}
	if d.Key != "" {
		if err := CheckNodeKey(d.Key); err != nil {
			return err
		}
	}
	if err := d.After.validate(index); err != nil {
		return err
	}
	if d.Name != CutName(d.Name) {
		return malformed("a name that is too long or not UTF-8")
	}
	return nil
}

// malformed is the detail of an error that will match ErrMalformed.
func malformed(format string, args ...any) error { return fmt.Errorf(format, args...) }
