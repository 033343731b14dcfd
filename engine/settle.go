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

// settle answers every request of the group: it commits their changes and tries
// requests again whose task another engine has changed. It puts requests that
// were too large together back into the queue.
func (g *group) settle() {
	begin := time.Now()
	var later []*Pending
	now := g
	for try := 1; ; try++ {
		batch, parts := now.commitOnce(try == maxTries)
		later = append(slices.Clip(parts), later...)
		if len(batch) == 0 {
			break
		}
		now = g.engine.newGroup(len(batch))
		now.retried = true
		rest := now.addAll(batch)
		later = append(slices.Clip(rest), later...)
	}
	if len(later) > 0 {
		g.engine.putBack(later)
	}
	g.engine.forecast.committed(g.queued+g.requests, time.Since(begin))
	g.recycle()
}

// commitOnce commits the group and answers its requests. It returns those to
// try again, none if this was the last try, and those to commit in smaller
// parts.
func (g *group) commitOnce(last bool) (again, parts []*Pending) {
	for _, w := range g.order {
		if len(w.transitions) == 0 {
			w.answer(nil, w.revision(), 0)
			continue
		}
		g.changes = append(g.changes, store.Write{Base: w.revision(), Transitions: w.transitions})
		g.changed = append(g.changed, w)
	}
	if len(g.changes) == 0 {
		return nil, nil
	}
	results, info := g.write()
	g.queued = g.engine.queueLength()
	for i, w := range g.changed {
		switch {
		case info.Err != nil:
			w.answer(fmt.Errorf("engine: commit: %w", info.Err), 0, 0)
		case results[i].Err == nil:
			w.answer(nil, w.revision(), results[i].First)
		case isTooLarge(results[i].Err):
			parts = append(parts, w.split(g.engine, results[i].Err)...)
		case !errors.Is(results[i].Err, store.ErrConflict) && !errors.Is(results[i].Err, state.ErrExists):
			w.answer(fmt.Errorf("engine: task %s: %w", w.key, results[i].Err), 0, 0)
		case last || w.deleted:
			w.leaveOut(results[i].Err)
		default:
			again = append(again, w.requests()...)
		}
	}
	info.Queued = g.queued
	g.engine.observer.committed(info)
	return again, parts
}

// write commits the changes to the store and publishes them.
func (g *group) write() ([]store.Result, CommitInfo) {
	g.engine.committing.Lock()
	defer g.engine.committing.Unlock()
	begin := time.Now()
	results, err := g.engine.store.Commit(context.Background(), g.changes)
	info := CommitInfo{Tasks: len(g.changes), Took: time.Since(begin), Err: err}
	for _, w := range g.changed {
		info.Requests += len(w.waiting)
	}
	if err == nil {
		g.publish(results, &info)
	}
	return results, info
}

// publish makes committed trees visible, and then the position after them. A
// reader that first reads the position and then a tree therefore misses no
// transition in between.
func (g *group) publish(results []store.Result, info *CommitInfo) {
	c := g.engine.cache
	last := g.engine.horizon.reached()
	alone := true // no other engine has committed since
	for i, w := range g.changed {
		if isTooLarge(results[i].Err) {
			continue // the task is unchanged
		}
		if results[i].Err != nil {
			info.Conflicts++
			c.remove(w.key)
			continue
		}
		info.Transitions += len(w.transitions)
		first, revision := results[i].First, results[i].First+uint64(len(w.transitions))-1
		g.engine.began(results[i].History, first)
		alone = alone && last.Has(first-1)
		last = last.With(results[i].History, revision)
		if w.deleted {
			c.remove(w.key)
		} else {
			w.tree.SetRevision(revision)
			g.shown = append(g.shown, w)
		}
	}
	c.replace(g.shown)
	if info.Transitions > 0 {
		g.engine.horizon.committed(alone, last)
	}
	g.engine.feed.ring()
}

func (w *work) revision() uint64 {
	if w.deleted {
		return w.waiting[0].p.deletion.revision
	}
	return w.base.Revision()
}

func (w *work) requests() (ps []*Pending) {
	for _, a := range w.waiting {
		ps = append(ps, a.p)
	}
	return ps
}

// leaveOut answers the waiting requests with the store's reason for refusing
// the work. Their State is unset, since the task's current state is unknown.
func (w *work) leaveOut(err error) {
	for _, a := range w.waiting {
		refused := w.refusal(a.p, 0, err)
		refused.State = 0
		a.p.answer(refused)
	}
}

// refusal returns err as the refusal of operation i of a request.
func (w *work) refusal(p *Pending, i int, err error) *state.Error {
	if p.deletion != nil {
		return p.deletion.refusal(err)
	}
	return w.base.Refusal(p.ops, i, err)
}

// answer answers the waiting requests: with err, or with their refusal, or with
// their results, whose sequences count from first. A repeat before the first
// transition gets the task's revision, base.
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
