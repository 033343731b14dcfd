package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// group is a set of requests that one commit records.
type group struct {
	engine *Engine
	// retried says that an earlier try failed, perhaps because the IDs of new
	// nodes are in use. They are then looked up first.
	retried bool
	works   map[state.Key]*work
	order   []*work
	slab    []work // memory for works, of which the first are used
	used    int
	ids     map[string]*work // nodes made in this group
	// uncertain has the new nodes of requests that were refused because of
	// uncommitted changes of this group. If the commit fails, these nodes are made
	// after all.
	uncertain map[string]struct{}
	// guessed has the nodes made in this group whose given IDs were not looked up.
	guessed map[string]struct{}

	changed []*work // the works with something to commit
	changes []store.Write
	shown   []*work // those committed that have a tree

	room state.Room // for the transitions, until they are committed

	round    int // number of calls of addAll; other engines may change tasks between two rounds
	requests int // requests that wait for an answer
	queued   int // requests in the queue after the commit
}

// groupKept bounds the number of tasks and new nodes of a group whose memory is
// reused.
const groupKept = 4096

// newGroup makes a group for about n requests. It reuses the memory of the last
// group if that is large enough.
func (e *Engine) newGroup(n int) *group {
	g := e.spare
	if e.spare = nil; g == nil || len(g.slab) < n {
		return &group{
			engine: e, works: make(map[state.Key]*work, n), ids: make(map[string]*work), uncertain: make(map[string]struct{}), guessed: make(map[string]struct{}),
			order: make([]*work, 0, n), slab: make([]work, n),
		}
	}
	return g
}

// recycle keeps the memory of an answered group for the next one, unless it is
// unusually large.
func (g *group) recycle() {
	if len(g.ids) > groupKept || cap(g.order) > groupKept {
		return
	}
	clear(g.works)
	clear(g.ids)
	clear(g.uncertain)
	clear(g.guessed)
	clear(g.slab[:g.used])
	clear(g.order)
	clear(g.changed)
	clear(g.changes)
	clear(g.shown)
	g.room.Clear()
	*g = group{
		engine: g.engine, room: g.room, works: g.works, ids: g.ids, uncertain: g.uncertain, guessed: g.guessed, order: g.order[:0], slab: g.slab,
		changed: g.changed[:0], changes: g.changes[:0], shown: g.shown[:0],
	}
	g.engine.spare = g
}

// addAll applies requests in their order and returns those that must wait for
// the next group, for example the requests after a deletion of the same task.
func (g *group) addAll(batch []*Pending) (rest []*Pending) {
	g.round++
	for i, p := range batch {
		if !g.add(p) {
			return batch[i:]
		}
	}
	return nil
}

// wait adds a request that is answered after the work's commit.
func (g *group) wait(w *work, a answer) {
	w.waiting = append(w.waiting, a)
	w.size += a.p.size
	g.requests++
}

// work has a group's changes of one task.
type work struct {
	key           state.Key
	task          *task       // the task in the cache, nil if it was not found there
	base, tree    *state.Tree // the tree before the group, and after its changes so far
	transitions   []*state.Transition
	waiting       []answer
	size          int // of the waiting requests
	deleted       bool
	verifiedRound int // the round in which base was the store's tree

	one struct { // first memory for transitions and waiting
		transition [1]*state.Transition
		waiting    [1]answer
	}
}

// answer is the answer to a request after the commit of its task's changes.
type answer struct {
	p   *Pending
	err error // a refusal because of uncommitted changes
}

// add applies a request. It returns false if the request must wait for the
// next group.
func (g *group) add(p *Pending) bool {
	if p.deletion != nil {
		return g.addDeletion(p)
	}
	w, err := g.workFor(p)
	if errors.Is(err, state.ErrNotFound) && g.isUncertain(refTo(&p.ops[0]).Node) {
		return false
	}
	if err != nil {
		p.answer(refusal(p, 0, err))
		return true
	}
	if w.deleted || g.mustWait(w, p) {
		return false
	}
	switch means, lookErr := g.meansNodeOf(w, refTo(&p.ops[0])); {
	case lookErr != nil:
		p.answer(lookErr)
		return true
	case !means:
		return false
	}
	tree, outcomes, err, lookErr := g.attempt(w, p.ops)
	if lookErr != nil {
		p.answer(lookErr)
		return true
	}
	if err != nil || !changed(outcomes) {
		switch verified, lookErr := g.verify(w); {
		case lookErr != nil:
			p.answer(lookErr)
			return true
		case !verified:
			return g.add(p)
		}
	}
	if err != nil {
		if g.undecided(w, p, err) {
			return false
		}
		g.refuse(w, p, err)
		return true
	}
	for i, o := range outcomes {
		r := &p.results[i]
		r.Node, r.Version, r.Repeated = o.Node, o.Version.String(), o.Transition == nil
		switch {
		case p.ops[i].Kind.Compound():
			r.Did = make([]state.OpKind, 0, len(o.Steps))
			for _, tr := range o.Steps {
				g.addTransition(w, tr, &p.ops[i])
				r.Did = append(r.Did, tr.Op)
			}
		case o.Transition != nil:
			g.addTransition(w, o.Transition, &p.ops[i])
		}
		// Relative to the change's first sequence, which the store assigns.
		r.Sequence = uint64(len(w.transitions))
	}
	w.tree = tree
	g.wait(w, answer{p: p})
	return true
}

// addTransition adds a transition of an operation to the work.
func (g *group) addTransition(w *work, tr *state.Transition, op *state.Op) {
	w.transitions = append(w.transitions, tr)
	if tr.Op == state.Declare || tr.Op == state.Create {
		g.ids[op.Node] = w
		if op.NodeGiven && !g.retried {
			g.guessed[op.Node] = struct{}{}
		}
	}
}

// attempt applies operations. Only the store knows whether another task uses
// the ID of a new node, and its Commit refuses such IDs: asking the store
// before each declaration cost 13 % of the rate of 256 writers. Before a
// refusal for another reason the store is asked, because an ID in use takes
// precedence as a reason. With InOrder the store is asked first, because a task
// that Commit leaves out would be committed after later requests.
func (g *group) attempt(w *work, ops []state.Op) (tree *state.Tree, outcomes []state.Outcome, refused, err error) {
	for i := range ops {
		ops[i].Taken = false // may be set by an earlier try, on another task
	}
	ahead := g.retried || g.engine.opts.InOrder
	if ahead {
		if err := g.markTaken(ops, w.key); err != nil {
			return nil, nil, nil, err
		}
	}
	tree, outcomes, refused = g.apply(w, ops)
	if refused == nil || ahead {
		return tree, outcomes, refused, nil
	}
	if err := g.markTaken(ops, w.key); err != nil {
		return nil, nil, nil, err
	}
	if slices.ContainsFunc(ops, func(op state.Op) bool { return op.Taken }) {
		tree, outcomes, refused = g.apply(w, ops)
	}
	return tree, outcomes, refused, nil
}

// changed reports whether any outcome is not that of an idempotent repeat.
func changed(outcomes []state.Outcome) bool {
	return slices.ContainsFunc(outcomes, func(o state.Outcome) bool { return o.Transition != nil })
}

// verify checks that the tree is the store's before a refusal or a repeat,
// since another engine may have changed the task. For other requests the commit
// detects that, but here it may have nothing to commit. If the task has
// changed, verify drops the work and returns false; the request is then applied
// to the current task.
func (g *group) verify(w *work) (bool, error) {
	if w.verifiedRound == g.round || len(w.transitions) > 0 {
		return true, nil
	}
	at, err := g.engine.store.Locate(context.Background(), store.Ref{Key: w.key})
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return false, fmt.Errorf("engine: task %s: %w", w.key, err)
	}
	if at.Revision != w.base.Revision() {
		g.engine.cache.remove(w.key)
		delete(g.works, w.key)
		return false, nil
	}
	w.verifiedRound = g.round
	return true, nil
}

// refuse answers a refused request. If the refusal is because of uncommitted
// changes of this group, the answer waits for the commit.
func (g *group) refuse(w *work, p *Pending, err error) {
	err = g.explain(w, p, err)
	if len(w.transitions) > 0 {
		for i := range p.ops {
			if p.ops[i].NodeGiven {
				g.uncertain[p.ops[i].Node] = struct{}{}
			}
		}
		g.wait(w, answer{p, err})
		return
	}
	p.answer(err)
}

// mustWait reports whether a request must wait for the next group, for one of
// three reasons: it makes a node with an ID that this group makes in another
// task, and only the commit decides whether that ID is in use; the sequences
// would be out of order; or the task's requests would not fit one write.
func (g *group) mustWait(w *work, p *Pending) bool {
	if len(w.waiting) > 0 && w.size+p.size > g.engine.most {
		return true
	}
	if g.engine.opts.InOrder && w != g.order[len(g.order)-1] {
		return true
	}
	for i := range p.ops {
		if p.ops[i].NodeGiven && g.inAnother(w, p.ops[i].Node) {
			return true
		}
	}
	return false
}

// undecided reports whether the text of a refusal depends on a node that this
// group makes, or may make, in another task. The request then waits for the
// commit.
func (g *group) undecided(w *work, p *Pending, err error) bool {
	var refused *state.Error
	return errors.As(err, &refused) && errors.Is(err, state.ErrNotFound) &&
		g.inAnother(w, refTo(&p.ops[refused.Index]).Node)
}

// inAnother reports whether this group makes, or may make, the node in a task
// other than w's.
func (g *group) inAnother(w *work, node string) bool {
	other := g.ids[node]
	return other != nil && other != w || g.isUncertain(node)
}

func (g *group) isUncertain(node string) bool {
	_, uncertain := g.uncertain[node]
	return uncertain
}

// refTo returns a reference to the task of an operation.
func refTo(op *state.Op) store.Ref {
	if op.ByTask() {
		return store.Ref{Key: op.Task}
	}
	return store.ByNode(op.Place())
}

// workFor returns the work for the task of a request. The error matches
// [state.ErrNotFound] if there is no such task.
func (g *group) workFor(p *Pending) (*work, error) {
	op, task := &p.ops[0], p.task
	p.task = nil
	ref := refTo(op)
	if w := g.ids[ref.Node]; w != nil {
		return w, nil
	}
	if ref.Node == "" {
		if w := g.works[ref.Key]; w != nil {
			return w, nil
		}
	}
	if task != nil && !task.dropped.Load() {
		w := g.work(task.tree.Load(), false)
		w.task = task
		return w, nil
	}
	if tree := g.engine.cache.get(ref); tree != nil {
		return g.work(tree, false), nil
	}
	snap, err := g.engine.fetch(context.Background(), ref)
	switch {
	case err == nil:
		return g.work(snap.Tree, true), nil
	case op.Kind == state.Create && errors.Is(err, state.ErrNotFound):
		return g.work(state.NewTree(op.Task), true), nil
	}
	return nil, err
}

// work returns the work for the task of a tree. The tree becomes the base of a
// new work. fresh says that the tree was just read from the store.
func (g *group) work(tree *state.Tree, fresh bool) *work {
	w := g.works[tree.Key()]
	if w == nil {
		w = g.begin(tree.Key())
		w.base, w.tree = tree, tree
		if fresh {
			w.verifiedRound = g.round
		}
	}
	return w
}

// begin makes the work for a task that has none yet. The memory for its first
// transition is part of it, since most tasks have one transition in a group.
func (g *group) begin(key state.Key) *work {
	var w *work
	if g.used < len(g.slab) {
		w = &g.slab[g.used]
		g.used++
	} else { // more requests arrived, or verify dropped a work
		w = new(work)
	}
	w.key, w.transitions, w.waiting = key, w.one.transition[:0], w.one.waiting[:0]
	g.works[key] = w
	g.order = append(g.order, w)
	return w
}

func (g *group) addDeletion(p *Pending) bool {
	if w := g.works[p.deletion.key]; w != nil {
		return false
	}
	w := g.begin(p.deletion.key)
	w.deleted = true
	w.transitions = append(w.transitions, p.deletion.transition)
	g.wait(w, answer{p: p})
	p.results = p.result[:]
	p.results[0] = Result{Sequence: 1}
	return true
}

// refusal returns err as the refusal of a request's operation i, if the task
// was not found; otherwise it returns err unchanged.
func refusal(p *Pending, i int, err error) error {
	if !errors.Is(err, state.ErrNotFound) {
		return err
	}
	return state.NewTree(p.ops[i].Task).Refusal(p.ops, i, err)
}
