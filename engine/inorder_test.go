package engine_test

import (
	"fmt"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
)

func TestSequencesFollowTheQueueAcrossTasksInOrder(t *testing.T) {
	for _, inOrder := range []bool{false, true} {
		t.Run(fmt.Sprint("in order ", inOrder), func(t *testing.T) {
			s := &gated{store.NewMemory(), make(chan struct{}, 1), make(chan struct{})}
			e, err := engine.Open(t.Context(), s, &engine.Options{InOrder: inOrder})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			queued := []*engine.Pending{e.Submit(engine.Create("2", "first"))}
			<-s.began
			for _, task := range []string{"a", "b", "c"} {
				queued = append(queued, e.Submit(engine.Create("2", task, engine.ID(task))))
			}
			for _, task := range []string{"b", "a", "c"} {
				queued = append(queued, e.Submit(engine.Start(task), engine.Suspend(task)))
				queued = append(queued, e.Submit(engine.Finish(task))) // refused
			}
			close(s.open)
			ascending := true
			for last := uint64(0); len(queued) > 0; queued = queued[1:] {
				results, err := queued[0].Wait(t.Context())
				if err != nil {
					continue
				}
				for _, r := range results {
					ascending = ascending && r.Sequence == last+1
					last = r.Sequence
				}
			}
			if ascending != inOrder {
				t.Errorf("sequences in the order of the queue: %t", ascending)
			}
		})
	}
}
