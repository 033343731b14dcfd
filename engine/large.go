package engine

import (
	"errors"

	"github.com/pipestatus/pipestatus/store"
)

// What a store takes for one task at once is bounded: what waits for the same
// commit must not be refused because it is too much together. A task's requests
// in a group therefore have a size, as they have in the queue, of at most
// [Engine.most], unless it is a single one. When a store still finds them too
// large, most becomes half of their size, and they are queued again.

// mostAtFirst is the size at first: 4 MiB of data, or as many operations as
// several hundred writers send. By default boltstore takes four times as much.
// Where sequences follow the queue across tasks it is what the smallest journal
// takes, since other tasks have been committed when one was too large.
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
	var large *store.TooLargeError
	return errors.As(err, &large)
}

// split returns the requests of a work that is too large for the store, to be
// committed in smaller parts from now on. A single request is refused with err.
func (w *work) split(e *Engine, err error) []*Pending {
	if len(w.waiting) > 1 {
		e.most = min(e.most, w.size/2)
		return w.requests()
	}
	p := w.waiting[0].p
	p.answer(w.refusal(p, largest(p), err))
	return nil
}

// largest is which operation of a request contributes most.
func largest(p *Pending) (index int) {
	for i := range p.ops {
		if sizeOf(&p.ops[i]) > sizeOf(&p.ops[index]) {
			index = i
		}
	}
	return index
}
