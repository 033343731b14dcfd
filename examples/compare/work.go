package main

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// names are names of tasks, never the same twice.
type names struct{ n atomic.Int64 }

func (n *names) next() string { return fmt.Sprintf("task-%d", n.n.Add(1)) }

// eachUntil lets writers do task after task, with the given number of nodes each,
// until the time is up, and waits for the last ones. It returns the total number of
// nodes.
func eachUntil(writers, nodes int, d time.Duration, task func() error) (done int, took time.Duration, err error) {
	begin := time.Now()
	errs := make([]error, writers)
	var total atomic.Int64
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for time.Since(begin) < d {
				if errs[i] = task(); errs[i] != nil {
					return
				}
				total.Add(int64(nodes))
			}
		})
	}
	wg.Wait()
	return int(total.Load()), time.Since(begin), cmp.Or(errs...)
}
