package notify

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// batch is a page of transitions while it is delivered.
type batch struct {
	page  *store.FeedPage
	tasks []*queue // those with transitions left

	mu   sync.Mutex // protects everything below
	done []bool     // by place in the page
}

// queue are the transitions of one task that are still to be delivered, by their
// places in the page.
type queue struct{ places []int }

// newBatch groups a page by task, or treats it as one task if everything is to be
// delivered in order.
func (d *delivery) newBatch(page *store.FeedPage) *batch {
	b := &batch{page: page, done: make([]bool, len(page.Transitions))}
	of := make(map[state.Key]*queue)
	for i, tr := range page.Transitions {
		if !d.Filter(tr) {
			b.done[i] = true
			continue
		}
		var key state.Key
		if d.Concurrency > 1 {
			key = tr.Task
		}
		q := of[key]
		if q == nil {
			q = new(queue)
			of[key] = q
			b.tasks = append(b.tasks, q)
		}
		q.places = append(q.places, i)
	}
	return b
}

// page delivers a page, which may take any time. Before each pause, the bookmark
// moves over the transitions already delivered at the beginning of the page.
func (d *delivery) page(ctx context.Context, page *store.FeedPage) error {
	b := d.newBatch(page)
	events := slices.Collect(page.Events())
	for kept := 0; len(b.tasks) > 0; {
		err := d.round(ctx, b)
		if err == nil {
			continue
		}
		if n := b.prefix(); n > kept {
			kept = n
			if err := d.bookmark.Save(ctx, events[n-1].Position); err != nil {
				return err
			}
		}
		if err := d.pause(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// round tries all remaining transitions, each task up to its first failure, and
// returns one of the failures. While the endpoint fails, it tries a single task.
func (d *delivery) round(ctx context.Context, b *batch) error {
	width := min(d.Concurrency, len(b.tasks))
	if d.outage.pause.Failures() > 0 {
		width = 1
	}
	var (
		wg      sync.WaitGroup
		next    = make(chan *queue, len(b.tasks))
		failure atomic.Pointer[error]
	)
	for _, q := range b.tasks {
		next <- q
	}
	close(next)
	for range width {
		wg.Go(func() {
			for q := range next {
				if failure.Load() != nil { // a dead endpoint is not asked once for each task
					return
				}
				if err := d.task(ctx, b, q); err != nil {
					failure.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	first := failure.Load()
	b.settle(first != nil)
	if first == nil {
		return nil
	}
	return *first
}

// task delivers the rest of one task until the first failure.
func (d *delivery) task(ctx context.Context, b *batch, q *queue) error {
	for len(q.places) > 0 {
		place := q.places[0]
		event, err := ofTransition(b.page.Transitions[place], d.Source)
		if err != nil {
			return err
		}
		if err := d.send(ctx, event); err != nil {
			return err
		}
		d.outage.end(d)
		q.places = q.places[1:]
		b.mark(place)
	}
	return nil
}

func (b *batch) mark(place int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done[place] = true
}

// settle removes the tasks that are done. After a failure it reorders the others,
// so that a task that the endpoint always refuses does not block them.
func (b *batch) settle(failed bool) {
	left := b.tasks[:0]
	for _, q := range b.tasks {
		if len(q.places) > 0 {
			left = append(left, q)
		}
	}
	if failed && len(left) > 1 {
		left = append(left[1:], left[0])
	}
	b.tasks = left
}

// prefix is how many transitions are delivered, from the page's beginning.
func (b *batch) prefix() int {
	for i, done := range b.done {
		if !done {
			return i
		}
	}
	return len(b.done)
}
