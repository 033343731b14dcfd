package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// Store keeps tasks. All methods may be called from many goroutines. A call
// whose context is canceled either returns before it has an effect or completes.
// Everything a store returns is the caller's to keep and, trees and
// transitions aside, to modify; a store keeps nothing that a caller gave it.
//
// Besides the errors named below every method may return [ErrClosed],
// [ErrFailed], [ErrUnavailable], [ErrCorrupt] and the context's error.
type Store interface {
	Reader

	// Commit makes writes durable, each for a different task, and returns one
	// result for each. A write that does not apply is left out and has an error
	// in its result; the others commit. Sequences are assigned in the order of
	// the writes. An error means that no write was committed, except for
	// [ErrFailed], where the outcome is unknown until the store is reopened.
	// [ErrFull] leaves the store usable, and [state.ErrInvalidArgument] says that
	// a write is malformed. A commit is one transaction, but a store may divide a
	// large one: if it becomes full in between, the later writes have ErrFull in
	// their results. A store of several logs makes one transaction for each, and
	// an error of one of them is the result of its writes.
	Commit(ctx context.Context, writes []Write) ([]Result, error)

	// Close waits for calls in progress and releases the store, also if it
	// returns an error. Later calls of any method return [ErrClosed]; closing
	// again returns nil.
	Close() error
}

// Reader is the reading half of a [Store]. An engine is a Reader too, whose
// trees come from memory.
type Reader interface {
	// Load returns a task's tree, or [state.ErrNotFound].
	Load(ctx context.Context, ref Ref) (Snapshot, error)

	// Locate returns the location of a task or node without reading the tree, or
	// [state.ErrNotFound].
	Locate(ctx context.Context, ref Ref) (Location, error)

	// List returns a page of tasks, newest recorded first unless the query says
	// otherwise; tasks of different logs are merged by the times of their
	// recording. A task created while pages are read appears on none of the
	// later ones, or at their end if the oldest come first; one that changes
	// while they are read appears at most once, by its state at the time its
	// page is read. [state.ErrInvalidArgument] for a cursor that no List of the
	// same order returned, for an unknown state, and for a business that is no ID.
	// [ErrUnavailable] if no task of the query can be reached; if some can, the page
	// says what is missing.
	List(ctx context.Context, q ListQuery) (ListPage, error)

	// Transitions returns, in order, up to limit transitions of a task with
	// sequences greater than after, fewer only at the end. Their data has size and
	// digest only. A limit of 0 or less, here and below, stands for
	// [DefaultLimit]. [state.ErrNotFound] if there is no such task.
	Transitions(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error)

	// Attempts returns a page of the attempts of a node, oldest first and the
	// current one last, with their inputs and outputs. A reference that names no
	// node stands for the root, whose first attempt has the task's input. An
	// empty page says that there are no more. [state.ErrNotFound] if there is no
	// such node.
	Attempts(ctx context.Context, ref Ref, q AttemptQuery) ([]Attempt, error)

	// Feed returns, in order, up to limit committed transitions of all tasks after
	// a position, deletes included, fewer only at the end. Their data has size and
	// digest only. [ErrHistory] if this store never had the position, and
	// [ErrTrimmed] if transitions after it are no longer kept; a store of several
	// logs returns these in a [GapError]. If some of its logs cannot be reached, it
	// gives the transitions of the others, and an [UnavailableError] when there are
	// no more of these, and after [End].
	Feed(ctx context.Context, after Position, limit int) (FeedPage, error)
}

// DefaultLimit is the length of a page when the caller names none.
const DefaultLimit = 1000

// Write is the part of a commit for one task: the transitions, in order, that lead
// from the revision Base to the next. Base 0 creates the task, and the
// first transition is then its [state.Create]. A single [state.Delete]
// removes the task with all its nodes, attempts and transitions, and frees its
// key and IDs. Transitions must not be empty and all of one task; their
// sequences are ignored.
type Write struct {
	Base        uint64
	Transitions []*state.Transition
}

// Key is the task the write is for.
func (c *Write) Key() state.Key { return c.Transitions[0].Task }

// Deletes reports whether the write removes its task.
func (c *Write) Deletes() bool { return c.Transitions[0].Op == state.Delete }

// Validate returns an error that matches [state.ErrInvalidArgument] if the write is
// malformed, regardless of the store's content. It examines every value that would
// be recorded. Every store calls it for every write.
func (c *Write) Validate() error {
	if len(c.Transitions) == 0 {
		return invalid("a write without transitions")
	}
	key := c.Key()
	for i, tr := range c.Transitions {
		switch {
		case tr.Task != key:
			return invalid("a write to two tasks")
		case tr.Op == state.Delete && (len(c.Transitions) > 1 || c.Base == 0):
			return invalid("a delete stands alone, at a revision")
		case (tr.Op == state.Create) != (c.Base == 0 && i == 0):
			return invalid("a create comes first, at base 0")
		}
		if err := tr.Validate(); err != nil {
			return fmt.Errorf("%w: task %s: %w", state.ErrInvalidArgument, key, err)
		}
	}
	return nil
}

// Complete returns an error that matches [state.ErrInvalidArgument] if a write has
// data without its bytes, like a transition that was read from a store. Every store
// calls it in Commit.
func (c *Write) Complete() error {
	for _, tr := range c.Transitions {
		if tr.Data != nil && tr.Data.Bytes() == nil {
			return invalid("a " + tr.Op.String() + " with data but without its bytes")
		}
	}
	return nil
}

// ValidateWrites returns an error that matches [state.ErrInvalidArgument] if a commit
// of the writes is malformed, regardless of the store's content: one of them is by
// [Write.Validate] or [Write.Complete], and the error gives its index, or two are of
// the same task. A store calls it at the beginning of Commit, or makes the same checks.
func ValidateWrites(writes []Write) error {
	seen := make(map[state.Key]bool, len(writes))
	for i := range writes {
		w := &writes[i]
		if err := cmp.Or(w.Validate(), w.Complete()); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		if seen[w.Key()] {
			return invalid("two writes of task " + w.Key().String() + " in one commit")
		}
		seen[w.Key()] = true
	}
	return nil
}

// Result is the answer to one write of a commit.
type Result struct {
	// First is the sequence of the write's first transition; the others
	// follow without gap. 0 if the write was left out.
	First uint64
	// History is the one that the sequences are of, zero if the change was
	// left out.
	History History
	// Err is nil, [ErrConflict] if the task is not at the write's base,
	// [state.ErrExists] if its key or one of its node IDs is taken, possibly
	// by an earlier write of the same commit, [ErrCorrupt] or
	// [ErrIncompatible] if what the store has of this task cannot be read, a
	// [*TooLargeError] if the store cannot take so much for one task at once, or
	// [ErrFull] if there was room only for writes before this one, see
	// [Store.Commit].
	Err error
}

// Ref names a task, either by its key or, if Node is not empty, by the ID of
// any of its nodes. If NodeKey is not empty, it names the node that has this key
// in the task with the key Key; then Node is empty.
type Ref struct {
	Key     state.Key
	Node    string
	NodeKey string
}

// ByKey refers to a task by business ID and task ID.
func ByKey(business, task string) Ref {
	return Ref{Key: state.Key{Business: business, Task: task}}
}

// ByNode refers to a task by the ID of one of its nodes.
func ByNode(id string) Ref { return Ref{Node: id} }

// ByNodeKey refers to the node with a key of the task with these IDs. A store
// that does not have the tree in memory looks through the task's nodes for it.
func ByNodeKey(business, task, key string) Ref {
	return Ref{Key: state.Key{Business: business, Task: task}, NodeKey: key}
}

// Task refers to the same task without naming a node by its key.
func (r Ref) Task() Ref { return Ref{Key: r.Key, Node: r.Node} }

// Validate returns an error that matches [state.ErrInvalidArgument] if an ID or the key
// is invalid.
func (r Ref) Validate() error {
	if r.Node != "" {
		return state.CheckID("node ID", r.Node)
	}
	if err := r.Key.Validate(); err != nil || r.NodeKey == "" {
		return err
	}
	return state.CheckNodeKey(r.NodeKey)
}

// In returns the index of the node that the reference names in its task's tree,
// 0 if it names the task alone. An error matches [state.ErrNotFound].
func (r Ref) In(tree *state.Tree) (index int, err error) {
	found := true
	switch {
	case r.Node != "":
		index, found = tree.Find(r.Node)
	case r.NodeKey != "":
		index, found = tree.FindKey(r.NodeKey)
	}
	if !found {
		return 0, notFound(r)
	}
	return index, nil
}

func notFound(r Ref) error { return fmt.Errorf("%w: %s", state.ErrNotFound, r) }

// String is the reference as error messages show it.
func (r Ref) String() string {
	switch {
	case r.Node != "":
		return "node " + quote(r.Node)
	case r.NodeKey != "":
		return "node with key " + quote(r.NodeKey) + " of task " + r.Key.String()
	}
	return "task " + r.Key.String()
}

// Snapshot is a task as Load found it.
type Snapshot struct {
	Tree *state.Tree
	// Index is the index of the node that the reference named, 0 for a key.
	Index int
	// Position is the store's last, read before the tree. A watcher that begins
	// after it, and ignores this task's transitions up to the tree's revision,
	// sees every later transition. For the logs of other tasks it may be earlier
	// than their last.
	Position Position
}

// Location is where a task or node is.
type Location struct {
	Key      state.Key
	Revision uint64
}

// ListQuery selects tasks. The zero ListQuery selects all.
type ListQuery struct {
	Business   string        // "" for all
	Shown      []state.State // shown states of the task, empty for all
	Unfinished bool          // only tasks that have not ended or have a leaf running
	// HasFailures selects the tasks whose root or a leaf has FAILED, in any shown
	// state.
	HasFailures bool
	Name        string       // the root's name, exactly; "" for all
	Labels      state.Labels // all of which the task has
	// Recorded, Started and Finished bound these times of the task. A task
	// without the time, such as one that has not started, is not within any
	// bounds.
	Recorded, Started, Finished Span
	// OldestFirst turns the order around.
	OldestFirst bool
	Cursor      string // of the page before, "" for the first
	Limit       int    // 0 or less: DefaultLimit
}

// Span is the time from Since to before Until. An unset time is no bound.
type Span struct{ Since, Until state.Instant }

// Has reports whether a time is within the span. An unset time is in the zero Span
// only.
func (s Span) Has(at state.Instant) bool {
	if !at.IsSet() {
		return s == Span{}
	}
	return !s.Since.After(at) && (!s.Until.IsSet() || s.Until.After(at))
}

// Matches reports whether the query selects t, regardless of cursor and limit.
func (q *ListQuery) Matches(t *Task) bool {
	if q.Business != "" && q.Business != t.Key.Business || q.Unfinished && !t.Unfinished() {
		return false
	}
	if !q.Recorded.Has(t.Recorded) || !q.Started.Has(t.Started) || !q.Finished.Has(t.Finished) {
		return false
	}
	if q.HasFailures && !t.HasFailures() || q.Name != "" && q.Name != t.DisplayName() {
		return false
	}
	for key, value := range q.Labels.All() {
		if got, ok := t.Labels.Get(key); !ok || got != value {
			return false
		}
	}
	return len(q.Shown) == 0 || slices.Contains(q.Shown, t.Shown)
}

// ListPage is a page of tasks. An empty Cursor says that it is the last. A
// page may be shorter than the limit, even empty, and still not be the last:
// a store may interrupt the search for rare tasks. [Memory] looks at 10,000 tasks
// for a page; the documentation of the other stores has their numbers.
type ListPage struct {
	Tasks  []Task
	Cursor string
	// Unreadable are the tasks that the page leaves out because their headers
	// cannot be read. Other tasks are not affected by a damaged record.
	Unreadable []Unreadable
	// Missing has an error for each part of the store that could not be reached.
	// Each names the part and matches [ErrUnavailable]. The page leaves out the
	// tasks of these parts. When a part is back, the pages that follow have its
	// tasks from where it was left out; if the page is the last, they remain
	// missing.
	Missing []error
}

// Checker is implemented by stores that can examine their content.
type Checker interface {
	// Check reads everything and calls report for each inconsistency. The error
	// says that the check itself could not be finished.
	Check(ctx context.Context, report func(problem string)) error
}
