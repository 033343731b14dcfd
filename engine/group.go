package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// maxTries bounds how often requests are applied again after a conflict.
const maxTries = 8

// commit answers every request of a batch: it applies them in order, commits
// what they changed, and tries again those whose task another engine changed.
func (e *Engine) commit(batch []*Pending) {
	for len(batch) > 0 {
		batch = e.commitSome(batch)
	}
}

// commitSome answers a leading part of the batch and returns the rest: a
// delete ends a group, since what follows it for the same task must see it.
func (e *Engine) commitSome(batch []*Pending) (rest []*Pending) {
	for try := 1; ; try++ {
		g := e.newGroup(try > 1, len(batch))
		for i, p := range batch {
			if !g.add(p) {
				rest = append(slices.Clip(batch[i:]), rest...)
				break
			}
		}
		batch = g.commit(try == maxTries)
		if len(batch) == 0 {
			return rest
		}
	}
}

// group is one commit in the making.
type group struct {
	engine *Engine
	// look says to ask the store whether keys and IDs are taken before
	// applying. The first try leaves that to the store's Commit, which
	// enforces it anyway; a second try follows only if something was taken.
	look  bool
	works map[state.Key]*work
	order []*work
	slab  []work           // for the works to come
	ids   map[string]*work // nodes declared in this group
}

// newGroup begins a group of up to n requests.
func (e *Engine) newGroup(look bool, n int) *group {
	return &group{
		engine: e, look: look, works: make(map[state.Key]*work, n),
		order: make([]*work, 0, n), slab: make([]work, n), ids: make(map[string]*work),
	}
}

// work is what a group does to one task.
type work struct {
	key         state.Key
	base, tree  *state.Tree // before the group, and so far
	transitions []*state.Transition
	waiting     []answer
	deleted     bool

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
	w, err := g.find(&p.ops[0])
	if err != nil {
		p.answer(refusal(p, 0, err))
		return true
	}
	if w.deleted {
		return false
	}
	ops := p.ops
	if g.look {
		if ops, err = g.marked(ops, w.key); err != nil {
			p.answer(err)
			return true
		}
	}
	tree, outcomes, err := w.tree.Apply(g.engine.opts.Limits, ops...)
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
		if o.Transition != nil {
			w.transitions = append(w.transitions, o.Transition)
			if o.Transition.Op == state.Declare || o.Transition.Op == state.Create {
				g.ids[o.Node] = w
			}
		}
		// Relative to the change's first sequence, which the store assigns.
		r.Sequence = uint64(len(w.transitions))
	}
	w.tree = tree
	w.waiting = append(w.waiting, answer{p: p})
	return true
}

// refuse answers a refused request, unless the refusal rests on changes that
// this group has not committed yet.
func (g *group) refuse(w *work, p *Pending, err error) {
	var refused *state.Error
	if errors.As(err, &refused) {
		err = g.explain(w, p, refused)
	}
	if len(w.transitions) > 0 {
		w.waiting = append(w.waiting, answer{p, err})
		return
	}
	p.answer(err)
}

// explain puts a refusal right where only the whole store can tell: an ID that
// is in use in another task goes before the kind of its parent and all later
// checks, and a batch must be about one task.
func (g *group) explain(w *work, p *Pending, refused *state.Error) error {
	op := &p.ops[refused.Index]
	switch {
	case errors.Is(refused, state.ErrNotFound):
		id := op.Node
		if op.Kind == state.Declare {
			id = op.Parent
		}
		if elsewhere, err := g.taken(store.ByNode(id), w.key); err != nil {
			return err
		} else if elsewhere {
			refused.Err = fmt.Errorf("%w: node %q is in another task", state.ErrInvalidArgument, id)
		}
	case op.NodeGiven && !errors.Is(refused, state.ErrExists):
		if elsewhere, err := g.taken(store.ByNode(op.Node), w.key); err != nil {
			return err
		} else if elsewhere {
			refused.Err = fmt.Errorf("%w: node %q", state.ErrExists, op.Node)
		}
	}
	return refused
}

// undecided reports whether what [group.explain] would say rests on a node that
// this group declares in another task. The request then waits for that commit.
func (g *group) undecided(w *work, p *Pending, err error) bool {
	var refused *state.Error
	if !errors.As(err, &refused) {
		return false
	}
	op := &p.ops[refused.Index]
	id := op.Node
	switch {
	case !errors.Is(err, state.ErrNotFound):
		if !op.NodeGiven || errors.Is(err, state.ErrExists) {
			return false
		}
	case op.Kind == state.Declare:
		id = op.Parent
	}
	other := g.ids[id]
	return other != nil && other != w
}

// find returns the work for the task that an operation is about, an error
// that matches [state.ErrNotFound] if there is none.
func (g *group) find(op *state.Op) (*work, error) {
	ref := store.ByNode(op.Node)
	switch op.Kind {
	case state.Create:
		ref = store.Ref{Key: op.Task}
	case state.Declare:
		ref = store.ByNode(op.Parent)
	}
	if w := g.ids[ref.Node]; w != nil {
		return w, nil
	}
	if w := g.works[ref.Key]; w != nil {
		return w, nil
	}
	tree := g.engine.cache.get(ref)
	if tree == nil && (op.Kind != state.Create || g.look) {
		snap, err := g.engine.read(context.Background(), ref)
		if err != nil && (op.Kind != state.Create || !errors.Is(err, state.ErrNotFound)) {
			return nil, err
		}
		if tree = snap.Tree; tree != nil {
			g.engine.cache.put(tree)
		}
	}
	if tree == nil {
		tree = state.NewTree(op.Task)
	}
	return g.work(tree), nil
}

// work returns the work for the task of a tree, which becomes its base if it
// has none yet.
func (g *group) work(tree *state.Tree) *work {
	w := g.works[tree.Key()]
	if w == nil {
		w = g.begin(tree.Key())
		w.base, w.tree = tree, tree
	}
	return w
}

// begin makes the work for a task that has none yet. What it appends first
// needs no memory of its own: most tasks have one transition in a group.
func (g *group) begin(key state.Key) *work {
	w := &g.slab[0]
	g.slab = g.slab[1:]
	w.key, w.transitions, w.waiting = key, w.one.transition[:0], w.one.waiting[:0]
	g.works[key] = w
	g.order = append(g.order, w)
	return w
}

// marked returns ops with Taken set on those whose given ID is in use in
// another task than key.
func (g *group) marked(ops []state.Op, key state.Key) ([]state.Op, error) {
	ops = slices.Clone(ops)
	for i := range ops {
		if !ops[i].NodeGiven {
			continue
		}
		taken, err := g.taken(store.ByNode(ops[i].Node), key)
		if err != nil {
			return nil, err
		}
		ops[i].Taken = taken
	}
	return ops, nil
}

// taken reports whether a committed node is in a task other than key. Nodes
// that this group declares do not count: they rest on a commit that may fail,
// and the store's Commit tells of them.
func (g *group) taken(ref store.Ref, key state.Key) (bool, error) {
	if tree := g.engine.cache.get(ref); tree != nil {
		return tree.Key() != key, nil
	}
	at, err := g.engine.store.Locate(context.Background(), ref)
	if errors.Is(err, state.ErrNotFound) {
		return false, nil
	}
	return err == nil && at.Key != key, err
}

func (g *group) addDeletion(p *Pending) bool {
	if w := g.works[p.gone.key]; w != nil {
		return false
	}
	w := g.begin(p.gone.key)
	w.deleted = true
	w.transitions = append(w.transitions, p.gone.transition)
	w.waiting = append(w.waiting, answer{p: p})
	p.results = p.result[:]
	p.results[0] = Result{Sequence: 1}
	return true
}

// commit commits the group and answers its requests. It returns those to try
// again, none if this was the last try.
func (g *group) commit(last bool) (again []*Pending) {
	var changes []store.Change
	var works []*work
	for _, w := range g.order {
		switch {
		case len(w.transitions) > 0:
			changes = append(changes, store.Change{Base: w.revision(), Transitions: w.transitions})
			works = append(works, w)
		default:
			w.answer(nil, w.revision(), 0)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	begin := time.Now()
	results, err := g.engine.store.Commit(context.Background(), changes)
	info := CommitInfo{Tasks: len(works), Took: time.Since(begin), Err: err}
	for _, w := range works {
		info.Requests += len(w.waiting)
	}
	if err == nil {
		g.publish(works, results, &info)
	}
	for i, w := range works {
		switch {
		case err != nil:
			w.answer(fmt.Errorf("engine: commit: %w", err), 0, 0)
		case results[i].Err == nil:
			w.answer(nil, w.revision(), results[i].First)
		case last || w.deleted:
			w.answer(fmt.Errorf("engine: task %s: %w", w.key, results[i].Err), 0, 0)
		default:
			again = append(again, w.requests()...)
		}
	}
	g.report(info)
	return again
}

// publish makes committed trees visible. The last sequence follows the trees,
// so that whoever reads it first and a tree then has missed nothing between.
func (g *group) publish(works []*work, results []store.Result, info *CommitInfo) {
	c := g.engine.cache
	trees := make([]*state.Tree, 0, len(works))
	var last uint64
	for i, w := range works {
		if results[i].Err != nil {
			info.Conflicts++
			c.remove(w.key)
			continue
		}
		info.Transitions += len(w.transitions)
		revision := results[i].First + uint64(len(w.transitions)) - 1
		last = max(last, revision)
		if w.deleted {
			c.remove(w.key)
		} else {
			trees = append(trees, w.tree.WithRevision(revision))
		}
	}
	c.put(trees...)
	g.engine.advance(last)
	g.engine.feed.ring()
}

func (g *group) report(info CommitInfo) {
	e := g.engine
	if info.Err != nil {
		e.opts.Logger.Error("commit failed", "tasks", info.Tasks, "error", info.Err)
	}
	if info.Conflicts > 0 {
		e.opts.Logger.Warn("conflict", "tasks", info.Conflicts)
	}
	if e.opts.Hooks.Committed != nil {
		e.mu.Lock()
		info.Queued = len(e.queue)
		e.mu.Unlock()
		e.opts.Hooks.Committed(info)
	}
}

func (w *work) revision() uint64 {
	if w.deleted {
		return w.waiting[0].p.gone.revision
	}
	return w.base.Revision()
}

func (w *work) requests() (ps []*Pending) {
	for _, a := range w.waiting {
		ps = append(ps, a.p)
	}
	return ps
}

// answer answers all that wait: with err, or with their refusal, or with their
// results, whose sequences count from first; a repeat that precedes the first
// transition gets the revision the task had.
func (w *work) answer(err error, base, first uint64) {
	for _, a := range w.waiting {
		if refused := cmp.Or(err, a.err); refused != nil {
			a.p.answer(refused)
			continue
		}
		for i := range a.p.results {
			if s := &a.p.results[i].Sequence; *s == 0 {
				*s = base
			} else {
				*s += first - 1
			}
		}
		a.p.answer(nil)
	}
}

// refusal is err as the refusal of a request's operation i, if it is one.
func refusal(p *Pending, i int, err error) error {
	if !errors.Is(err, state.ErrNotFound) {
		return err
	}
	op := &p.ops[i]
	return &state.Error{Op: op.Kind, Task: op.Task, Node: op.Node, Index: i, Err: err}
}
