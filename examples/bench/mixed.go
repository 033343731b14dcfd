package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
	"github.com/pipestatus/pipestatus/query"
)

const (
	readerFigure = "p99 of a snapshot while 256 writers run"
	commitFigure = "p99 of a transition while snapshots are read"
	mixedGoal    = "≤ 2 ×"
	pollEvery    = 100 * time.Millisecond
)

var mixedFigures = []string{readerFigure, commitFigure}

// measureMixed measures readers and writers of one engine, together and alone.
func (b *bench) measureMixed(ctx context.Context) (err error) {
	r, err := openRecorder(ctx, b.file("mixed.db"), nil, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b.progress.Show("first tasks")
	for _, n := range []int{1000, 10_000} {
		if _, err := r.Record(ctx, runningTree(treeName(n), n)...); err != nil {
			return err
		}
	}
	if err := fill(ctx, r.Engine, "first", b.few, nil, nil); err != nil {
		return err
	}
	c := newCrew("crew", manyWriters)
	small, large := poller{q: query.New(r.Engine, nil), task: treeName(1000)}, poller{q: query.New(r.Engine, nil), task: treeName(10_000)}
	var reads, readsLoaded, writes, writesLoaded measuring.Series
	err = b.interleave(ctx,
		step{"snapshots alone", func(ctx context.Context) error {
			times, err := small.poll(ctx, b.polling)
			reads.Add(millis(percentile(times, 99)))
			return err
		}},
		step{"snapshots, with writers", func(ctx context.Context) error {
			times, _, err := pollDuring(ctx, &small, c, r, b.polling)
			readsLoaded.Add(millis(percentile(times, 99)))
			return err
		}},
		step{"writers alone", func(ctx context.Context) error {
			o, err := c.work(ctx, r.Engine, b.Window)
			writes.Add(millis(percentile(o.latencies, 99)))
			return err
		}},
		step{"writers, with snapshots", func(ctx context.Context) error {
			_, o, err := pollDuring(ctx, &large, c, r, b.Window)
			writesLoaded.Add(millis(percentile(o.latencies, 99)))
			return err
		}},
	)
	if err != nil {
		return err
	}
	for _, m := range []struct {
		figure      string
		with, alone float64
		note        string
	}{
		{readerFigure, readsLoaded.Median(), reads.Median(), fmt.Sprintf("1,000 nodes, 10 times a second, %v a round", b.polling)},
		{commitFigure, writesLoaded.Median(), writes.Median(), "256 writers; 10,000 nodes, 10 times a second"},
	} {
		r := measured(m.figure, m.with, "ms").against("ms alone", m.alone).note("%s", m.note)
		b.add(r.goal(mixedGoal, *r.Ratio <= 2))
	}
	return nil
}

// poller reads the snapshot of a task at intervals, into the same buffer as a
// server would.
type poller struct {
	q      *query.Query
	task   string
	answer []byte
}

// poll returns how long each snapshot took. The very first one, which grows the
// buffer, does not count.
func (p *poller) poll(ctx context.Context, d time.Duration) (times []time.Duration, err error) {
	if p.answer, err = p.q.AppendJSON(ctx, p.answer[:0], business, p.task); err != nil {
		return nil, err
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		begin := time.Now()
		if p.answer, err = p.q.AppendJSON(ctx, p.answer[:0], business, p.task); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}

// pollDuring polls while a crew works.
func pollDuring(ctx context.Context, p *poller, c crew, r *recorder, d time.Duration) (times []time.Duration, o outcome, err error) {
	polled := make(chan error, 1)
	go func() {
		var err error
		times, err = p.poll(ctx, d)
		polled <- err
	}()
	o, err = c.work(ctx, r.Engine, d)
	err = errors.Join(err, <-polled)
	return times, o, err
}
