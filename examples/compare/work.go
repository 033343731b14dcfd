package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// lastTask is the number of the newest task, so that no name comes twice.
var lastTask atomic.Int64

// work lets writers record tasks of so many nodes, one task after the other, for a
// duration: no task begins later, and all tasks end. It returns how many nodes were
// done, and the time taken.
func work(ctx context.Context, c contender, writers, nodes int, d time.Duration) (done int, took time.Duration, err error) {
	errs := make([]error, writers)
	var total atomic.Int64
	err = employed(ctx, c, writers, func() error {
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for time.Since(begin) < d {
					if errs[i] = c.record(ctx, fmt.Sprintf("task-%d", lastTask.Add(1)), nodes); errs[i] != nil {
						return
					}
					total.Add(int64(nodes))
				}
			})
		}
		wg.Wait()
		took = time.Since(begin)
		return cmp.Or(errs...)
	})
	return int(total.Load()), took, err
}

// employed calls f while the contender has so many workers, if it needs any.
func employed(ctx context.Context, c contender, workers int, f func() error) error {
	e, ok := c.(employer)
	if !ok {
		return f()
	}
	dismiss, err := e.employ(ctx, workers)
	if err != nil {
		return err
	}
	return errors.Join(f(), dismiss())
}
