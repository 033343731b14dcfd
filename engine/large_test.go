package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// limited is an engine on a store that bounds the size of a write to one task.
type limited struct {
	*fixture
	store *storetest.Wrapper
	// conflicts counts those reported to [engine.Hooks.Committed].
	conflicts atomic.Int64
	largest   atomic.Int64 // bytes of data of one write
	enter     chan struct{}
	leave     chan struct{}
}

// limitOfBytes is the most bytes of data that the stores accept in a write to
// one task.
const limitOfBytes = 256 << 10

// forEachLimitedStore runs a test on stores with [limitOfBytes].
func forEachLimitedStore(t *testing.T, o engine.Options, test func(l *limited)) {
	t.Run("bolt", func(t *testing.T) {
		s, err := boltstore.Open(filepath.Join(t.TempDir(), "small.db"), &boltstore.Options{JournalSize: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		test(onLimited(t, &storetest.Wrapper{Store: s}, o))
	})
	t.Run("any", func(t *testing.T) {
		s := &storetest.Wrapper{Store: store.NewMemory()}
		s.Refuse = func(change *store.Write) error {
			if n := dataOf(change) + 100*len(change.Transitions); n > limitOfBytes {
				return &store.TooLargeError{Bytes: n, Limit: limitOfBytes}
			}
			return nil
		}
		test(onLimited(t, s, o))
	})
}

func dataOf(change *store.Write) (n int) {
	for _, tr := range change.Transitions {
		n += len(tr.Data.Bytes())
	}
	return n
}

// onLimited makes tasks 2/10 and 2/11 with running activities, "0" to "39"
// each.
func onLimited(t *testing.T, s *storetest.Wrapper, o engine.Options) *limited {
	l := &limited{store: s}
	o.Hooks = &engine.Hooks{Committed: func(i engine.CommitInfo) { l.conflicts.Add(int64(i.Conflicts)) }}
	l.fixture = onStore(t, s, o)
	for _, task := range []string{"10", "11"} {
		ops := []engine.Op{engine.Create("2", task, engine.ID("root of "+task)), engine.Start("root of " + task)}
		for i := range 40 {
			leaf := leafOf(task, i)
			ops = append(ops, engine.Declare("root of "+task, state.ServiceActivity, engine.ID(leaf)), engine.Start(leaf))
		}
		l.record(ops...)
	}
	return l
}

func leafOf(task string, i int) string { return fmt.Sprintf("%s, %d", task, i) }

// together makes all requests that submit queues wait for the same commit.
func (l *limited) together(submit func()) {
	var first atomic.Bool
	l.enter, l.leave = make(chan struct{}), make(chan struct{})
	l.store.BeforeCommit = func(_ context.Context, changes []store.Write) error {
		if first.CompareAndSwap(false, true) {
			close(l.enter)
			<-l.leave
		}
		for i := range changes {
			l.largest.Store(max(l.largest.Load(), int64(dataOf(&changes[i]))))
		}
		return nil
	}
	l.Submit(engine.Create("3", l.opts.NewID()))
	<-l.enter
	submit()
	close(l.leave)
}

// output is the output of leaf i, of n bytes.
func output(i, n int) []byte { return bytes.Repeat([]byte{byte(i)}, n) }

// expectOutput expects a leaf to have finished with an output.
func (l *limited) expectOutput(leaf string, want []byte) {
	l.Helper()
	n := l.node(leaf)
	_, got, err := store.AttemptData(l.ctx, l, store.ByNode(leaf), n.Number())
	if err != nil || n.State != state.Finished || !bytes.Equal(got.Bytes(), want) {
		l.Errorf("node %q is %s with %d bytes, %v; want %d", leaf, n.State, len(got.Bytes()), err, len(want))
	}
}

func TestRequestsAreNotTooLargeBecauseTheyWaitTogether(t *testing.T) {
	const size = 60 << 10
	forEachLimitedStore(t, engine.Options{}, func(l *limited) {
		pending := map[string][]*engine.Pending{}
		submit := func(task string, ops ...engine.Op) { pending[task] = append(pending[task], l.Submit(ops...)) }
		l.together(func() {
			for i := 0; i < 40; i += 4 {
				for _, task := range []string{"10", "11"} {
					submit(task, engine.Finish(leafOf(task, i), engine.Output(output(i, size))))
					submit(task, engine.Finish(leafOf(task, i+1)))
					submit(task,
						engine.Finish(leafOf(task, i+2), engine.Output(output(i+2, size))),
						engine.Finish(leafOf(task, i+3), engine.Output(output(i+3, size))))
				}
			}
		})
		for task, queued := range pending {
			last := uint64(0)
			for i, p := range queued {
				results, err := p.Wait(l.ctx)
				if err != nil {
					l.Fatalf("request %d of task %s: %v", i, task, err)
				}
				for k, r := range results {
					if r.Sequence <= last || k > 0 && r.Sequence != last+1 {
						l.Errorf("request %d of task %s has sequence %d after %d", i, task, r.Sequence, last)
					}
					last = r.Sequence
				}
			}
			for i := range 40 {
				want := output(i, size)
				if i%4 == 1 {
					want = nil
				}
				l.expectOutput(leafOf(task, i), want)
			}
		}
		if n := l.conflicts.Load(); n > 0 {
			l.Errorf("%d conflicts", n)
		}
		l.store.Refuse = func(change *store.Write) error {
			if n := dataOf(change); n > limitOfBytes {
				l.Errorf("a later commit has a write with %d bytes of data", n)
			}
			return nil
		}
		var again []*engine.Pending
		l.together(func() {
			for i := range 40 {
				again = append(again, l.Submit(engine.Loop(leafOf("10", i), engine.Input(output(i, size)))))
			}
		})
		for _, p := range again {
			if _, err := p.Wait(l.ctx); err != nil {
				l.Error(err)
			}
		}
	})
}

func TestARequestThatIsTooLargeByItselfIsRefusedAlone(t *testing.T) {
	forEachLimitedStore(t, engine.Options{Limits: state.Limits{DataBytes: 1 << 20}}, func(l *limited) {
		ten := state.Key{Business: "2", Task: "10"}
		huge := engine.Output(output(0, limitOfBytes+1))
		cases := []struct {
			ops  []engine.Op
			want state.Error
		}{
			{
				[]engine.Op{engine.Finish(leafOf("10", 0), huge)},
				state.Error{Op: state.Finish, Task: ten, Node: leafOf("10", 0), State: state.Running},
			},
			{
				[]engine.Op{engine.Finish(leafOf("10", 1)), engine.Finish(leafOf("10", 2), huge)},
				state.Error{Op: state.Finish, Task: ten, Node: leafOf("10", 2), State: state.Running, Index: 1, Batch: true},
			},
			{
				[]engine.Op{engine.Begin("root of 10", state.ServiceActivity, engine.Key("new"), engine.Input(output(0, limitOfBytes+1)))},
				state.Error{Op: state.Begin, Task: ten, Key: "new", State: state.Running, New: true},
			},
			{
				[]engine.Op{engine.Create("2", "12", engine.ID("x"), engine.Input(output(0, limitOfBytes+1)))},
				state.Error{Op: state.Create, Task: state.Key{Business: "2", Task: "12"}, Node: "x", New: true},
			},
		}
		var refused, taken []*engine.Pending
		l.together(func() {
			for i, c := range cases {
				taken = append(taken, l.Submit(engine.Finish(leafOf("10", 10+i), engine.Output(output(i, 30<<10)))))
				refused = append(refused, l.Submit(c.ops...))
				taken = append(taken, l.Submit(engine.Finish(leafOf("10", 20+i))))
			}
		})
		for _, p := range taken {
			if _, err := p.Wait(l.ctx); err != nil {
				l.Errorf("with one that is too large: %v", err)
			}
		}
		for i, p := range refused {
			_, err := p.Wait(l.ctx)
			want := cases[i].want
			want.Err = state.ErrInvalidArgument
			l.expectError(fmt.Sprint(cases[i].ops), err, want)
			var large *store.TooLargeError
			if !errors.As(err, &large) || large.Bytes <= large.Limit {
				l.Errorf("%v is no %T", err, large)
			} else if strings.Count(err.Error(), want.Task.String()) != 1 {
				l.Errorf("%v does not name the task once", err)
			}
		}
		for i := range 3 {
			if st := l.node(leafOf("10", i)).State; st != state.Running {
				l.Errorf("a refused request left node %d %s", i, st)
			}
		}
		if n := l.conflicts.Load(); n > 0 {
			l.Errorf("%d conflicts", n)
		}
	})
}

func TestDataOfOneTaskInACommitIsBounded(t *testing.T) {
	const size, bound = 1 << 20, 4 << 20
	l := onLimited(t, &storetest.Wrapper{Store: store.NewMemory()}, engine.Options{Limits: state.Limits{DataBytes: 2 * bound}})
	var pending []*engine.Pending
	l.together(func() {
		for i := range 20 {
			pending = append(pending, l.Submit(engine.Finish(leafOf("10", i), engine.Output(output(i, size)))))
		}
	})
	for _, p := range pending {
		if _, err := p.Wait(l.ctx); err != nil {
			t.Error(err)
		}
	}
	if n := l.largest.Load(); n > bound || n < bound/2 {
		t.Errorf("%d bytes of data of one task in a commit", n)
	}
	l.record(engine.Finish(leafOf("10", 20), engine.Output(output(20, bound+1))))
	l.expectOutput(leafOf("10", 20), output(20, bound+1))
}

func TestSequencesFollowTheQueueAlsoWithMuchData(t *testing.T) {
	forEachLimitedStore(t, engine.Options{InOrder: true}, func(l *limited) {
		var pending []*engine.Pending
		l.together(func() {
			for i := range 30 {
				task := []string{"10", "11"}[i/5%2]
				pending = append(pending, l.Submit(engine.Finish(leafOf(task, i), engine.Output(output(i, 60<<10)))))
			}
		})
		last := uint64(0)
		for i, p := range pending {
			results, err := p.Wait(l.ctx)
			if err != nil {
				l.Fatal(err)
			}
			if s := results[0].Sequence; s <= last {
				l.Errorf("request %d has sequence %d after %d", i, s, last)
			} else {
				last = s
			}
		}
	})
}
