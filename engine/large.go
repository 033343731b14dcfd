package engine

import (
	"errors"

	"github.com/pipestatus/pipestatus/store"
)

// A store bounds the size of a write to one task. Requests must not be refused
// only because they wait for the same commit, so the size of a task's requests
// in a group is bounded by [Engine.most], except for a single request. If the
// store still refuses the write as too large, most becomes half of the size of
// the requests, and they are queued again.

// mostAtFirst is the initial bound: 4 MiB of data, or as many operations as
// several hundred writers send. By default boltstore accepts four times as
// much. With InOrder the bound is what the smallest journal accepts, because
// other tasks of the group have already been committed when a write turns out
// to be too large.
const (
	mostAtFirst        = 4 << 10
	mostAtFirstInOrder = 128
)

func (o *Options) most() int {
	if o.InOrder {
		return mostAtFirstInOrder
	}
	return mostAtFirst
}

func isTooLarge(err error) bool {
	if err == nil {
		return false // before anything is made to look at the error
	}
	var large *store.TooLargeError
	return errors.As(err, &large)
}

// split returns the requests of a work that is too large for the store, to be
// committed in smaller parts. A single request is refused with err.
func (w *work) split(e *Engine, err error) []*Pending {
	if len(w.waiting) > 1 {
		e.most = min(e.most, w.size/2)
		return w.requests()
	}
	p := w.waiting[0].p
	p.answer(w.refusal(p, largest(p), err))
	return nil
}

// largest is the index of the largest operation of a request.
func largest(p *Pending) (index int) {
	for i := range p.ops {
		if sizeOf(&p.ops[i]) > sizeOf(&p.ops[index]) {
			index = i
		}
	}
	return index
}
