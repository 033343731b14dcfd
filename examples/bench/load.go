package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

const (
	business = "2"
	// taskNodes is the size of a task: a root and its leaves.
	taskNodes = 20
	// taskTransitions is the number of operations of a task: create, start and
	// finish of the root, and declare, start and finish of each leaf.
	taskTransitions = 3 * taskNodes
)

// recorder is an engine on a new file.
type recorder struct {
	*engine.Engine
	path  string
	store *boltstore.Store
}

// openRecorder opens the file; both options may be nil.
func openRecorder(ctx context.Context, path string, so *boltstore.Options, eo *engine.Options) (*recorder, error) {
	s, err := boltstore.Open(path, so)
	if err != nil {
		return nil, err
	}
	e, err := engine.Open(ctx, s, eo)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &recorder{Engine: e, path: path, store: s}, nil
}

func (r *recorder) close() error { return errors.Join(r.Close(), r.store.Close()) }

// writer records tasks of 20 nodes one after the other, one transition a call.
type writer struct {
	name       string
	task, at   int // which task, and which of its transitions is next
	root, leaf string
}

// step records the next transition and returns when it is durable.
func (w *writer) step(ctx context.Context, e *engine.Engine) (err error) {
	var r engine.Result
	switch at := w.at; {
	case at == 0:
		w.task++
		r, err = e.Create(ctx, business, fmt.Sprintf("%s-%d", w.name, w.task))
		w.root = r.Node
	case at == 1:
		_, err = e.Start(ctx, w.root)
	case at == taskTransitions-1:
		_, err = e.Finish(ctx, w.root)
	case at%3 == 2:
		r, err = e.Declare(ctx, w.root, state.ServiceActivity)
		w.leaf = r.Node
	case at%3 == 0:
		_, err = e.Start(ctx, w.leaf)
	default:
		_, err = e.Finish(ctx, w.leaf)
	}
	w.at = (w.at + 1) % taskTransitions
	return err
}

// crew is a set of writers that continue their tasks from window to window.
type crew []*writer

func newCrew(name string, n int) crew {
	c := make(crew, n)
	for i := range c {
		c[i] = &writer{name: fmt.Sprintf("%s-%d", name, i)}
	}
	return c
}

// outcome is the work of a crew in a window.
type outcome struct {
	latencies []time.Duration // of each transition
	took      time.Duration
	cpu       time.Duration // of the whole process, 0 if not known
	written   int64         // bytes, -1 if not known
}

func (o *outcome) rate() float64 { return float64(len(o.latencies)) / o.took.Seconds() }

func (o *outcome) cpuEach() time.Duration { return o.cpu / time.Duration(max(len(o.latencies), 1)) }

// work lets the crew record for a duration.
func (c crew) work(ctx context.Context, e *engine.Engine, d time.Duration) (outcome, error) {
	cpu, _ := cpuTime()
	written, known := writtenBytes()
	begin := time.Now()
	deadline := begin.Add(d)
	latencies, errs := make([][]time.Duration, len(c)), make([]error, len(c))
	var wg sync.WaitGroup
	for i, w := range c {
		wg.Go(func() {
			for last := time.Now(); last.Before(deadline); {
				if errs[i] = w.step(ctx, e); errs[i] != nil {
					return
				}
				now := time.Now()
				latencies[i] = append(latencies[i], now.Sub(last))
				last = now
			}
		})
	}
	wg.Wait()
	o := outcome{took: time.Since(begin), written: -1}
	if now, ok := cpuTime(); ok {
		o.cpu = now - cpu
	}
	if now, _ := writtenBytes(); known {
		o.written = now - written
	}
	for _, l := range latencies {
		o.latencies = append(o.latencies, l...)
	}
	return o, cmp.Or(errs...) // any one represents all
}

// fill records n finished tasks, each in one call as an import would, named
// name-0 and so on and created with the options that options, if not nil, returns.
// It calls told, if not nil, at intervals. Existing tasks stay unchanged.
func fill(ctx context.Context, e *engine.Engine, name string, n int, options func(task int) []engine.Option, told func(done int)) error {
	var next atomic.Int64
	var mu sync.Mutex // held to call told
	errs := make([]error, 64)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for {
				task := int(next.Add(1)) - 1
				if task >= n {
					return
				}
				if task%1000 == 0 && told != nil {
					mu.Lock()
					told(task)
					mu.Unlock()
				}
				var more []engine.Option
				if options != nil {
					more = options(task)
				}
				_, err := e.Record(ctx, wholeTask(fmt.Sprintf("%s-%d", name, task), more...)...)
				if err != nil && !errors.Is(err, state.ErrExists) {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// wholeTask is the life of a task of 20 nodes, created with the given options.
func wholeTask(task string, options ...engine.Option) []engine.Op {
	root := newID()
	ops := make([]engine.Op, 0, taskTransitions)
	ops = append(ops, engine.Create(business, task, append(options, engine.ID(root))...), engine.Start(root))
	for range taskNodes - 1 {
		leaf := newID()
		ops = append(ops, engine.Declare(root, state.ServiceActivity, engine.ID(leaf)), engine.Start(leaf), engine.Finish(leaf))
	}
	return append(ops, engine.Finish(root))
}

// newID generates an ID that ascends with time, among the engine's own ones.
func newID() string {
	now := time.Now()
	return fmt.Sprintf("%012x7%03x%016x", now.UnixMilli(), now.Nanosecond()%1_000_000>>8, rand.Uint64())
}
