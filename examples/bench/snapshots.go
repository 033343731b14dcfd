package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/measuring"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func (b *bench) snapshotFigures() (names []string) {
	for _, n := range b.trees {
		names = append(names, snapshotFigure(n), allocsFigure(n), coldFigure(n))
	}
	return names
}

func snapshotFigure(n int) string {
	return fmt.Sprintf("snapshot from memory, %s nodes", measuring.Count(n))
}

func allocsFigure(n int) string {
	return fmt.Sprintf("allocations a node, %s nodes", measuring.Count(n))
}

func coldFigure(n int) string {
	return fmt.Sprintf("snapshot, cache empty, %s nodes", measuring.Count(n))
}

// runningTree lists the operations of a task with n nodes: subprocesses of 19
// activities each, the last of which is running.
func runningTree(task string, nodes int) []engine.Op {
	root, parent := newID(), ""
	ops := []engine.Op{engine.Create(business, task, engine.ID(root)), engine.Start(root)}
	for i := 1; i < nodes; i++ {
		id := newID()
		if i%20 == 1 {
			parent = id
			ops = append(ops, engine.Declare(root, state.Subprocess, engine.ID(id)), engine.Start(id))
			continue
		}
		ops = append(ops, engine.Declare(parent, state.ServiceActivity, engine.ID(id)), engine.Start(id))
		if i < nodes-1 {
			ops = append(ops, engine.Finish(id))
		}
	}
	return ops
}

// snapshotSeries holds the results of the rounds for a tree; times are nanoseconds
// per node.
type snapshotSeries struct{ memory, allocs, cold, plain measuring.Series }

// measureSnapshots measures the documented response for whole tasks: from
// trees in memory, from the store through a new engine, and as structs that
// encoding/json encodes. The file has been closed and opened again, so that
// only the system's cache of the file remains in memory.
func (b *bench) measureSnapshots(ctx context.Context) (err error) {
	if err := b.makeTrees(ctx, "snapshots.db"); err != nil {
		return err
	}
	r, err := openRecorder(ctx, b.file("snapshots.db"), nil, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	var steps []step
	all := make(map[int]*snapshotSeries)
	for _, n := range b.trees {
		s := &snapshotSeries{}
		all[n] = s
		if err := sameAnswer(ctx, r, treeName(n)); err != nil {
			return err
		}
		steps = append(steps, b.snapshotSteps(r, n, s)...)
	}
	if err := b.interleave(ctx, steps...); err != nil {
		return err
	}
	for _, n := range b.trees {
		s := all[n]
		ns, allocs := s.memory.Median(), s.allocs.Median()
		r := measured(snapshotFigure(n), ns, "ns/node").against("ns/node encoding/json", s.plain.Median()).faster()
		b.add(r.goal("≥ 10 × faster, ≤ 100 ns/node", *r.Ratio >= 10 && ns <= 100),
			// A few allocations for the whole answer count as 0 per node.
			measured(allocsFigure(n), allocs, "").goal("0", allocs < 0.05))
		r = measured(coldFigure(n), s.cold.Median(), "ns/node").against("ns/node from memory", ns)
		b.add(r.goal("≤ 3 ×", *r.Ratio <= 3))
	}
	return nil
}

func treeName(nodes int) string { return fmt.Sprintf("tree-%d", nodes) }

func (b *bench) makeTrees(ctx context.Context, file string) (err error) {
	r, err := openRecorder(ctx, b.file(file), nil, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for _, n := range b.trees {
		if _, err := r.Record(ctx, runningTree(treeName(n), n)...); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) snapshotSteps(r *recorder, nodes int, s *snapshotSeries) []step {
	task, perNode := treeName(nodes), float64(nodes)
	q := query.New(r.Engine, nil)
	var answer []byte
	memory := func(ctx context.Context) (err error) {
		answer, err = q.AppendJSON(ctx, answer[:0], business, task)
		return err
	}
	var encoded bytes.Buffer
	return []step{
		{snapshotFigure(nodes), func(ctx context.Context) error {
			m, err := repeat(b.Window/5, func() error { return memory(ctx) })
			s.memory.Add(m.each.Seconds() * 1e9 / perNode)
			s.allocs.Add(m.allocs / perNode)
			return err
		}},
		{coldFigure(nodes), func(ctx context.Context) error {
			each, err := b.coldSnapshots(ctx, r.store, task)
			s.cold.Add(each.Seconds() * 1e9 / perNode)
			return err
		}},
		{"encoding/json", func(ctx context.Context) error {
			snap, err := r.Load(ctx, store.ByKey(business, task))
			if err != nil {
				return err
			}
			m, err := repeat(b.Window/5, func() error {
				encoded.Reset()
				return plainJSON(&encoded, snap.Tree)
			})
			s.plain.Add(m.each.Seconds() * 1e9 / perNode)
			return err
		}},
	}
}

// coldSnapshots answers through a new engine each time. Opening it is not
// timed.
func (b *bench) coldSnapshots(ctx context.Context, s store.Store, task string) (time.Duration, error) {
	var answer []byte
	var took time.Duration
	n := 0
	for begin := time.Now(); n == 0 || time.Since(begin) < b.Window/5; n++ {
		e, err := engine.Open(ctx, s, nil)
		if err != nil {
			return 0, err
		}
		q, start := query.New(e, nil), time.Now()
		answer, err = q.AppendJSON(ctx, answer[:0], business, task)
		took += time.Since(start)
		if err := errors.Join(err, e.Close()); err != nil {
			return 0, err
		}
	}
	return took / time.Duration(n), nil
}

// repetition is the cost of one call of several.
type repetition struct {
	calls  int
	each   time.Duration
	allocs float64
}

// repeat calls f for a duration, after one call that does not count.
func repeat(d time.Duration, f func() error) (repetition, error) {
	if err := f(); err != nil {
		return repetition{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, took := 0, time.Duration(0)
	for begin := time.Now(); n == 0 || took < d; n++ {
		if err := f(); err != nil {
			return repetition{}, err
		}
		took = time.Since(begin)
	}
	runtime.ReadMemStats(&after)
	return repetition{n, took / time.Duration(n), float64(after.Mallocs-before.Mallocs) / float64(n)}, nil
}

// sameAnswer checks that both contenders give the same answer.
func sameAnswer(ctx context.Context, r *recorder, task string) error {
	answer, err := query.New(r.Engine, nil).AppendJSON(ctx, nil, business, task)
	if err != nil {
		return err
	}
	snap, err := r.Load(ctx, store.ByKey(business, task))
	if err != nil {
		return err
	}
	var encoded bytes.Buffer
	if err := plainJSON(&encoded, snap.Tree); err != nil {
		return err
	}
	var a, p any
	if err := errors.Join(json.Unmarshal(answer, &a), json.Unmarshal(encoded.Bytes(), &p)); err != nil {
		return err
	}
	if !reflect.DeepEqual(a, p) {
		return fmt.Errorf("task %s: the yardstick gives another answer", task)
	}
	return nil
}
