package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// group is one commit in the making.
type group struct {
	engine *Engine
	// again says that another try failed, perhaps because IDs of new nodes are in
	// use: then these are looked up.
	again bool
	works map[state.Key]*work
	order []*work
	slab  []work // for works, the first of them used
	used  int
	ids   map[string]*work // nodes made in this group
	// open are nodes that requests of this group would have made that were
	// refused because of others that are not committed. If those fail, they are
	// made after all.
	open map[string]struct{}
	// guessed are nodes made in this group whose given IDs were not looked up.
	guessed map[string]struct{}

	changed []*work // those with something to commit
	changes []store.Write
	trees   []*state.Tree // that were committed
	tasks   []*task       // of these, nil where the cache had none

	room state.Room // for the transitions, until they are committed

	round    int // of adding; what was sure in one may have changed by the next
	requests int // that wait to be answered
	queued   int // others, when these were about to be answered
}

// groupKept bounds the tasks, and the nodes made, of a group whose memory is
// used again.
const groupKept = 4096

// newGroup begins a group of about n requests. It uses the memory of the last
// one again if that is enough.
func (e *Engine) newGroup(n int) *group {
	g := e.spare
	if e.spare = nil; g == nil || len(g.slab) < n {
		return &group{
			engine: e, works: make(map[state.Key]*work, n), ids: make(map[string]*work), open: make(map[string]struct{}), guessed: make(map[string]struct{}),
			order: make([]*work, 0, n), slab: make([]work, n),
		}
	}
	return g
}

// recycle keeps the memory of a group whose requests have been answered, unless
// it was an exceptional one.
func (g *group) recycle() {
	if len(g.ids) > groupKept || cap(g.order) > groupKept {
		return
	}
	clear(g.works)
	clear(g.ids)
	clear(g.open)
	clear(g.guessed)
	clear(g.slab[:g.used])
	clear(g.order)
	clear(g.changed)
	clear(g.changes)
	clear(g.trees)
	clear(g.tasks)
	g.room.Clear()
	*g = group{
		engine: g.engine, room: g.room, works: g.works, ids: g.ids, open: g.open, guessed: g.guessed, order: g.order[:0], slab: g.slab,
		changed: g.changed[:0], changes: g.changes[:0], trees: g.trees[:0], tasks: g.tasks[:0],
	}
	g.engine.spare = g
}

// addAll applies requests in their order and returns those that must wait for
// the next group: a delete ends a group, since what follows it for the same
// task must see it.
func (g *group) addAll(batch []*Pending) (rest []*Pending) {
	g.round++
	for i, p := range batch {
		if !g.add(p) {
			return batch[i:]
		}
	}
	return nil
}

// wait has a request answered when the work has been committed.
func (g *group) wait(w *work, a answer) {
	w.waiting = append(w.waiting, a)
	w.size += a.p.size
	g.requests++
}

// work is what a group does to one task.
type work struct {
	key         state.Key
	task        *task       // in the cache; nil: not found there
	base, tree  *state.Tree // before the group, and so far
	transitions []*state.Transition
	waiting     []answer
	size        int // of those waiting
	deleted     bool
	sure        int // in that round base was what the store has

	one struct { // what transitions and waiting point to at first
		transition [1]*state.Transition
		waiting    [1]answer
	}
}

// answer is given to a request when its task's change has been committed.
type answer struct {
	p   *Pending
	err error // a refusal that rests on uncommitted changes
}

// add applies a request. It returns false if the request must wait for the
// next group.
func (g *group) add(p *Pending) bool {
	if p.gone != nil {
		return g.addDeletion(p)
	}
	w, err := g.find(p)
	if errors.Is(err, state.ErrNotFound) && g.isOpen(refTo(&p.ops[0]).Node) {
		return false
	}
	if err != nil {
		p.answer(refusal(p, 0, err))
		return true
	}
	if w.deleted || g.mustWait(w, p) {
		return false
	}
	switch meant, lookErr := g.meant(w, refTo(&p.ops[0])); {
	case lookErr != nil:
		p.answer(lookErr)
		return true
	case !meant:
		return false
	}
	tree, outcomes, err, lookErr := g.attempt(w, p.ops)
	if lookErr != nil {
		p.answer(lookErr)
		return true
	}
	if err != nil || !changed(outcomes) {
		switch sure, lookErr := g.sure(w); {
		case lookErr != nil:
			p.answer(lookErr)
			return true
		case !sure:
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
				g.take(w, tr, &p.ops[i])
				r.Did = append(r.Did, tr.Op)
			}
		case o.Transition != nil:
			g.take(w, o.Transition, &p.ops[i])
		}
		// Relative to the change's first sequence, which the store assigns.
		r.Sequence = uint64(len(w.transitions))
	}
	w.tree = tree
	g.wait(w, answer{p: p})
	return true
}

// take adds a transition of an operation to the work.
func (g *group) take(w *work, tr *state.Transition, op *state.Op) {
	w.transitions = append(w.transitions, tr)
	if tr.Op == state.Declare || tr.Op == state.Create {
		g.ids[op.Node] = w
		if op.NodeGiven && !g.again {
			g.guessed[op.Node] = struct{}{}
		}
	}
}

// attempt applies operations. Whether the ID of a new node is in use in another
// task only the store knows. Its Commit decides that; to ask it before each
// declaration measured 13 % of the rate of 256 writers. A refusal needs the
// answer, since another reason would count for less than that. Where sequences
// follow the requests across tasks it is asked before: a task that Commit leaves
// out would come after the others.
func (g *group) attempt(w *work, ops []state.Op) (tree *state.Tree, outcomes []state.Outcome, refused, err error) {
	for i := range ops {
		ops[i].Taken = false // what an earlier try found need not hold for this task
	}
	ahead := g.again || g.engine.opts.InOrder
	if ahead {
		if err := g.mark(ops, w.key); err != nil {
			return nil, nil, nil, err
		}
	}
	tree, outcomes, refused = g.apply(w, ops)
	if refused == nil || ahead {
		return tree, outcomes, refused, nil
	}
	if err := g.mark(ops, w.key); err != nil {
		return nil, nil, nil, err
	}
	if slices.ContainsFunc(ops, func(op state.Op) bool { return op.Taken }) {
		tree, outcomes, refused = g.apply(w, ops)
	}
	return tree, outcomes, refused, nil
}

// changed reports whether not all outcomes are of idempotent repeats.
func changed(outcomes []state.Outcome) bool {
	return slices.ContainsFunc(outcomes, func(o state.Outcome) bool { return o.Transition != nil })
}

// sure makes sure of the tree that a refusal or a repeat rests on. Another
// engine may have changed the task since it came into memory, and the commit,
// which finds that out for everything else, may have nothing to commit. If so,
// sure forgets the work, to begin with the task as it is.
func (g *group) sure(w *work) (bool, error) {
	if w.sure == g.round || len(w.transitions) > 0 {
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
	w.sure = g.round
	return true, nil
}

// refuse answers a refused request, unless the refusal rests on changes that
// this group has not committed yet.
func (g *group) refuse(w *work, p *Pending, err error) {
	err = g.explain(w, p, err)
	if len(w.transitions) > 0 {
		for i := range p.ops {
			if p.ops[i].NodeGiven {
				g.open[p.ops[i].Node] = struct{}{}
			}
		}
		g.wait(w, answer{p, err})
		return
	}
	p.answer(err)
}

// mustWait reports whether a request must wait for the next group: it would
// make a node with an ID that this group has made in another task, and only
// after that commit is it known to be taken; or the sequences would be out of
// order; or the task would have more than fits one write.
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

// undecided reports whether what [group.explain] would say rests on a node that
// this group makes in another task, or perhaps. The request then waits for that
// commit.
func (g *group) undecided(w *work, p *Pending, err error) bool {
	var refused *state.Error
	return errors.As(err, &refused) && errors.Is(err, state.ErrNotFound) &&
		g.inAnother(w, refTo(&p.ops[refused.Index]).Node)
}

// inAnother reports whether this group makes the node in a task other than w's,
// or perhaps makes it.
func (g *group) inAnother(w *work, node string) bool {
	other := g.ids[node]
	return other != nil && other != w || g.isOpen(node)
}

func (g *group) isOpen(node string) bool {
	_, open := g.open[node]
	return open
}

// refTo names the task that an operation is about.
func refTo(op *state.Op) store.Ref {
	if op.ByTask() {
		return store.Ref{Key: op.Task}
	}
	return store.ByNode(op.Place())
}

// find returns the work for the task that a request is about, an error that
// matches [state.ErrNotFound] if there is none.
func (g *group) find(p *Pending) (*work, error) {
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
	if task != nil && !task.gone.Load() {
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

// work returns the work for the task of a tree, which becomes its base if it
// has none yet. sure says that the tree is the store's, just read.
func (g *group) work(tree *state.Tree, sure bool) *work {
	w := g.works[tree.Key()]
	if w == nil {
		w = g.begin(tree.Key())
		w.base, w.tree = tree, tree
		if sure {
			w.sure = g.round
		}
	}
	return w
}

// begin makes the work for a task that has none yet. What it appends first
// needs no memory of its own: most tasks have one transition in a group.
func (g *group) begin(key state.Key) *work {
	var w *work
	if g.used < len(g.slab) {
		w = &g.slab[g.used]
		g.used++
	} else { // others came, or it is in place of one that was forgotten
		w = new(work)
	}
	w.key, w.transitions, w.waiting = key, w.one.transition[:0], w.one.waiting[:0]
	g.works[key] = w
	g.order = append(g.order, w)
	return w
}

func (g *group) addDeletion(p *Pending) bool {
	if w := g.works[p.gone.key]; w != nil {
		return false
	}
	w := g.begin(p.gone.key)
	w.deleted = true
	w.transitions = append(w.transitions, p.gone.transition)
	g.wait(w, answer{p: p})
	p.results = p.result[:]
	p.results[0] = Result{Sequence: 1}
	return true
}

// refusal is err as the refusal of a request's operation i, if it is one.
func refusal(p *Pending, i int, err error) error {
	if !errors.Is(err, state.ErrNotFound) {
		return err
	}
	return state.NewTree(p.ops[i].Task).Refusal(p.ops, i, err)
}
