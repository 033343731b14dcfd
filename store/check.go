package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
)

// Check examines all answers of a store: it rebuilds each task from its transitions
// and compares the result with the tree, the header, the attempts and the indexes,
// and it reads the feed from end to end. It calls report for each inconsistency. The
// error says that the check itself could not be finished. Tasks that change or are
// deleted during the check are examined as far as possible. Stores call it from
// their own [Checker].
func Check(ctx context.Context, r Reader, report func(problem string)) error {
	for t, err := range Tasks(ctx, r, ListQuery{}) {
		var unreadable *UnreadableError
		switch {
		case errors.As(err, &unreadable):
			for i := range unreadable.Tasks {
				report((&UnreadableError{unreadable.Tasks[i : i+1]}).Error())
			}
		case err != nil:
			return err
		default:
			if err := checkTask(ctx, r, t, report); err != nil {
				return err
			}
		}
	}
	return checkFeed(ctx, r, report)
}

func checkTask(ctx context.Context, r Reader, listed *Task, report func(string)) error {
	problem := func(format string, args ...any) {
		report(fmt.Sprintf("task %s: ", listed.Key) + fmt.Sprintf(format, args...))
	}
	snap, err := r.Load(ctx, Ref{Key: listed.Key})
	switch {
	case errors.Is(err, state.ErrNotFound):
		if _, err := r.Locate(ctx, Ref{Key: listed.Key}); err == nil {
			problem("located but not loaded")
		}
		return ctx.Err()
	case err != nil:
		problem("load: %v", err)
		return ctx.Err()
	}
	replayed := state.NewTree(listed.Key)
	var header Task
	past := nodesPast{attempts: make(map[int][]state.Attempt), data: make(map[dataKey]*state.Data)}
	for after := uint64(0); after < snap.Tree.Revision(); {
		trs, err := r.Transitions(ctx, listed.Key, after, 0)
		if err == nil && len(trs) > 0 {
			trs = upTo(trs, snap.Tree.Revision())
			replayed, err = replayed.Replay(trs...)
		}
		if err != nil {
			problem("transitions: %v", err)
			return ctx.Err()
		}
		if len(trs) == 0 {
			break
		}
		for _, tr := range trs {
			header.Add(tr)
			past.add(tr)
		}
		after = trs[len(trs)-1].Sequence
	}
	compareTrees(replayed, snap.Tree, problem)
	if listed.Revision == snap.Tree.Revision() && header != *listed {
		problem("its header is %+v, by its transitions %+v", *listed, header)
	}
	return checkNodes(ctx, r, snap.Tree, &past, problem)
}

// nodesPast holds the attempts of a task's nodes, computed from its transitions.
type nodesPast struct {
	attempts map[int][]state.Attempt // superseded ones, by index
	data     map[dataKey]*state.Data
}

func (p *nodesPast) add(tr *state.Transition) {
	for i := range tr.Changes {
		if c := &tr.Changes[i]; c.Superseded != nil {
			p.attempts[c.Index] = append(p.attempts[c.Index], *c.Superseded)
		}
	}
	if tr.Data != nil {
		c := &tr.Changes[0]
		p.data[dataKey{c.Index, c.Number(), tr.Output() != nil}] = tr.Data
	}
}

func upTo(trs []*state.Transition, revision uint64) []*state.Transition {
	for len(trs) > 0 && trs[len(trs)-1].Sequence > revision {
		trs = trs[:len(trs)-1]
	}
	return trs
}

func compareTrees(want, got *state.Tree, problem func(string, ...any)) {
	if want.Len() != got.Len() || want.Revision() != got.Revision() {
		problem("%d nodes at revision %d, by its transitions %d at %d",
			got.Len(), got.Revision(), want.Len(), want.Revision())
		return
	}
	for i := range want.Len() {
		if w, g := want.Node(i), got.Node(i); w != g {
			problem("node %q is %+v, by its transitions %+v", g.ID, g, w)
		}
	}
}

// checkNodes compares the node index and the attempts with the tree.
func checkNodes(ctx context.Context, r Reader, tree *state.Tree, past *nodesPast, problem func(string, ...any)) error {
	for i := range tree.Len() {
		id := tree.ID(i)
		at, err := r.Locate(ctx, ByNode(id))
		if err != nil || at.Key != tree.Key() {
			problem("node %q is located in task %s: %v", id, at.Key, err)
			continue
		}
		n := tree.Node(i)
		if err := checkAttempts(ctx, r, &n, past, problem); err != nil {
			problem("attempts of node %q: %v", id, err)
		}
	}
	return ctx.Err()
}

// checkAttempts reads the attempts of a node up to the current one of the tree,
// after which newer ones may have come, with their data.
func checkAttempts(ctx context.Context, r Reader, n *state.Node, past *nodesPast, problem func(string, ...any)) error {
	wanted := append(past.attempts[n.Index], n.Attempt)
	for read := 0; read < len(wanted); {
		page, err := r.Attempts(ctx, ByNode(n.ID), AttemptQuery{Skip: read, Limit: len(wanted) - read, Data: true})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			problem("node %q has %d attempts, by its transitions %d", n.ID, read, len(wanted))
			return nil
		}
		for j := range page {
			got, want := &page[j], wanted[read]
			newest := read == len(wanted)-1 // it may have changed since
			if got.Attempt != want && !newest {
				problem("node %q attempt %d is %+v, by its transitions %+v", n.ID, read+1, got.Attempt, want)
			}
			read++
			for _, d := range []struct {
				got    *state.Data
				output bool
			}{{got.Input, false}, {got.Output, true}} {
				want := past.data[dataKey{n.Index, read, d.output}]
				fits := d.got.Equal(want) && (want == nil || state.NewData(d.got.Bytes()).Equal(want))
				if !fits && (!newest || want != nil) {
					problem("node %q attempt %d has data of %s, by its transitions %s", n.ID, read, d.got, want)
				}
			}
		}
	}
	return nil
}

// checkFeed reads the feed from the oldest to the newest transition at the start.
// After an unreadable one, it reads a page one by one.
func checkFeed(ctx context.Context, r Reader, report func(string)) error {
	end, err := r.Feed(ctx, End, 1)
	if err != nil {
		return err
	}
	singly := 0
	for after := end.Last.At(end.First - 1); after.Sequence < end.Last.Sequence; {
		limit := DefaultLimit
		if singly > 0 {
			limit = 1
		}
		feed, err := r.Feed(ctx, after, limit)
		switch {
		case errors.Is(err, ErrTrimmed):
			return nil // during the read
		case err != nil && (ctx.Err() != nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrIncompatible)):
			report(fmt.Sprintf("changes after %d: %v", after.Sequence, err))
			return ctx.Err()
		case err != nil && singly == 0:
			singly = DefaultLimit
			continue
		case err != nil:
			report(fmt.Sprintf("change %d: %v", after.Sequence+1, err))
			after.Sequence++
			singly--
			continue
		case len(feed.Transitions) == 0:
			report(fmt.Sprintf("changes end at %d, not at %d", after.Sequence, end.Last.Sequence))
			return nil
		}
		for _, tr := range feed.Transitions {
			if after.Sequence++; tr.Sequence != after.Sequence {
				report(fmt.Sprintf("the feed has sequence %d instead of %d", tr.Sequence, after.Sequence))
				return nil
			}
		}
		after = feed.After()
		singly = max(singly-1, 0)
	}
	return nil
}
