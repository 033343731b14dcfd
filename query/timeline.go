package query

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// Span is one attempt of one node in time.
type Span struct {
	Node    string
	Index   int // of the node, in the order of creation
	Parent  int // index of the container it is in, -1 for the root
	Level   int // 1 for the root
	Kind    state.Kind
	Name    string
	Attempt int         // from 1
	Current bool        // not superseded
	State   state.State // of a container's current attempt, as shown
	Retry   int
	Loop    int
	Skip    bool
	Start   time.Time // zero if it has not started
	End     time.Time // zero if it has not ended
	Stands  time.Time // when a node that waits last changed, see [Stands]; else zero
	Error   string
}

// Timeline returns every attempt of every node asked for and below it: nodes as a
// tree is drawn, each container before its content, and attempts oldest first. For
// errors see [Query.Snapshot].
func (q *Query) Timeline(ctx context.Context, business, task string) ([]Span, error) {
	var superseded map[int][]*state.Attempt
	snap, err := q.replay(ctx, business, task, func(*state.Tree) {
		superseded = make(map[int][]*state.Attempt)
	}, func(tr *state.Transition) (more bool, err error) {
		for i := range tr.Changes {
			if c := &tr.Changes[i]; c.Superseded != nil {
				superseded[c.Index] = append(superseded[c.Index], c.Superseded)
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	r := q.renderer(snap.Tree, snap.Index)
	defer r.release()
	var spans []Span
	for i := range topDown(snap.Tree, snap.Index) {
		n := snap.Tree.Node(i)
		base := Span{Node: n.ID, Index: i, Parent: n.ParentIndex, Level: snap.Tree.Level(i), Kind: n.Kind, Name: n.DisplayName()}
		for _, a := range superseded[i] {
			spans = append(spans, base.of(q, a, a.State))
		}
		current := base.of(q, &n.Attempt, r.shown(i))
		current.Current = true
		current.Stands = q.time(Stands(snap.Tree, i))
		spans = append(spans, current)
	}
	return spans, nil
}

func (s Span) of(q *Query, a *state.Attempt, shown state.State) Span {
	s.Attempt = a.Loop + a.Retry()
	s.State, s.Retry, s.Loop, s.Skip, s.Error = shown, a.Retry(), a.Loop, a.Skipped, a.Error
	s.Start, s.End = q.time(a.Started), q.time(a.Finished)
	return s
}

// pageOfTransitions is how many transitions are read at once. Each can carry an
// error text, so a page of the usual length could be as large as a whole task.
const pageOfTransitions = 128

// Transitions iterates over the transitions of a task that led to a tree, in
// order. It ends after yielding an error, which matches [state.ErrNotFound] if
// the task has been deleted, even if another task has its key by now.
func (q *Query) Transitions(ctx context.Context, tree *state.Tree) iter.Seq2[*state.Transition, error] {
	return func(yield func(*state.Transition, error) bool) {
		for after := uint64(0); after < tree.Revision(); {
			page, err := q.reader.Transitions(ctx, tree.Key(), after, pageOfTransitions)
			if err == nil && (len(page) == 0 || page[len(page)-1].Sequence > tree.Revision() && !holds(page, tree.Revision())) {
				err = fmt.Errorf("%w: task %s at revision %d", state.ErrNotFound, tree.Key(), tree.Revision())
			}
			if err != nil {
				yield(nil, wrap(err))
				return
			}
			for _, tr := range page {
				if after = tr.Sequence; after > tree.Revision() || !yield(tr, nil) {
					return
				}
			}
		}
	}
}

// holds reports whether a page has the transition with a sequence.
func holds(page []*state.Transition, sequence uint64) bool {
	_, found := slices.BinarySearchFunc(page, sequence, func(tr *state.Transition, sequence uint64) int {
		return cmp.Compare(tr.Sequence, sequence)
	})
	return found
}

// Stands is the time of the last transition in a node, by index, that waits for a
// person: it has started and not ended, does not show RUNNING, and no leaf in it runs
// or awaits an automatic retry. It is unset for all other nodes, whose clocks run or
// have ended.
func Stands(tree *state.Tree, node int) state.Instant {
	n := tree.Node(node)
	busy := 0
	if n.Kind.Container() {
		busy = tree.Counts(node)[state.Running] + tree.Pending(node)
	}
	if !waits(n.Started.IsSet(), n.Finished.IsSet(), tree.Shown(node), busy) {
		return state.Instant{}
	}
	return tree.Latest(node)
}

// waits reports whether something that shows a state and has so many leaves that run
// or await an automatic retry waits for a person.
func waits(started, finished bool, shown state.State, busy int) bool {
	return started && !finished && shown != state.Running && busy == 0
}

// Took is how long the current attempt of a node, by index, has taken: until it ended
// or began to wait for a person, see [Stands], else until now. runs says that its clock
// runs. A node that has not started took 0.
func Took(tree *state.Tree, node int, now state.Instant) (took time.Duration, runs bool) {
	n := tree.Node(node)
	stands := Stands(tree, node)
	if stands.IsSet() {
		now = stands
	}
	return n.Elapsed(now), n.Started.IsSet() && !n.Finished.IsSet() && !stands.IsSet()
}
