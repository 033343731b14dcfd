package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/measuring"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

const growthGoal = "≥ 0.77 ×"

func (b *bench) withStored(what string) string {
	return fmt.Sprintf("%s, %s tasks stored", what, measuring.Count(b.tasks))
}

func (b *bench) storedFigures() []string {
	names := []string{b.withStored("memory of the process")}
	for _, list := range [][]string{growthReads, growthWrites, selections, openings} {
		for _, what := range list {
			names = append(names, b.withStored(what))
		}
	}
	return names
}

// Figures that should be as fast with many tasks stored as with few.
var (
	growthReads  = []string{"snapshots", "lists of 100 tasks"}
	growthWrites = []string{"transitions, lone writer", "transitions, 256 writers"}
)

// selections are the lists that are compared with those of a business, to which every
// task belongs. One task in ten has both the label and the name.
var selections = []string{"lists of 100 tasks by label", "lists of 100 tasks by name"}

const (
	selected      = 10
	selectedName  = "nightly"
	selectedLabel = "env"
	selectedValue = "production"
)

// measureStored makes a large store through the engine's ordinary calls, compares
// it with one of few tasks, and opens it after a clean close and after its process
// was killed.
func (b *bench) measureStored(ctx context.Context) error {
	small, large := b.file("small.db"), b.file("large.db")
	if b.kept != "" {
		large = filepath.Join(b.kept, fmt.Sprintf("stored-%d.db", b.tasks))
	}
	peak, err := b.makeStored(ctx, large, b.tasks)
	if err != nil {
		return err
	}
	if _, err := b.makeStored(ctx, small, b.few); err != nil {
		return err
	}
	if b.wants(growthReads, selections) {
		if err := b.measureReads(ctx, small, large); err != nil {
			return err
		}
	}
	if !b.wants(growthWrites, openings, []string{"memory of the process"}) {
		return nil
	}
	if b.kept != "" { // and is not to be changed
		kept := large
		large = b.file("large.db")
		if err := copyFile(large, kept); err != nil {
			return err
		}
	}
	if err := b.measureWrites(ctx, b.file("fresh.db"), large); err != nil {
		return err
	}
	peak = max(peak, footprint())
	info, err := os.Stat(large)
	if err != nil {
		return err
	}
	b.add(measured(b.withStored("memory of the process"), float64(peak)/(1<<20), "MiB").
		note("the highest while they were recorded and served; the file has %s MiB", measuring.Count(int(info.Size()>>20))))
	return b.measureOpen(ctx, large)
}

// makeStored makes a store of n finished tasks unless an earlier run kept it, and
// returns the largest memory footprint of the process. It completes a file that an
// interrupted run has left.
func (b *bench) makeStored(ctx context.Context, path string, n int) (peak uint64, err error) {
	if _, err := os.Stat(path); err == nil {
		return 0, nil
	}
	unfinished := path + ".unfinished"
	r, err := openRecorder(ctx, unfinished, nil, nil)
	if err != nil {
		return 0, err
	}
	err = fill(ctx, r.Engine, "stored", n, selectable, func(done int) {
		peak = max(peak, footprint())
		b.progress.Show(fmt.Sprintf("%s of %s tasks", measuring.Count(done), measuring.Count(n)))
	})
	if err := errors.Join(err, r.close()); err != nil {
		return 0, err
	}
	return peak, os.Rename(unfinished, path)
}

// wants reports whether any of the figures is to be measured.
func (b *bench) wants(figures ...[]string) bool {
	return slices.ContainsFunc(slices.Concat(figures...), func(what string) bool { return b.only.MatchString(b.withStored(what)) })
}

func copyFile(to, from string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}

// selectable gives one task in ten the name and the label that lists ask for.
func selectable(task int) []engine.Option {
	if task%selected != 0 {
		return nil
	}
	return []engine.Option{engine.Name(selectedName), engine.Labels(map[string]string{selectedLabel: selectedValue})}
}

// rates holds the results of the rounds for a store.
type rates struct {
	perSecond measuring.Series
	faults    measuring.Series // pages read from the disk for each call, where known
}

// pair is the rates with few tasks stored and with many.
type pair struct{ few, many rates }

func (b *bench) reportGrowth(what string, p *pair) {
	r := measured(b.withStored(what), p.many.perSecond.Median(), "/s").
		against(fmt.Sprintf("/s with %s", measuring.Count(b.few)), p.few.perSecond.Median())
	if len(p.many.faults) > 0 {
		r = r.note("each read %.2f pages from the disk that the page cache did not have", p.many.faults.Median())
	}
	b.add(r.goal(growthGoal, *r.Ratio >= 0.77))
}

// measureReads asks for tasks at random; the engine keeps no more than one in
// memory, so that each snapshot is read from the file. Each task has been asked
// for once before, as in a process that has run for a while: the page cache has
// the file, as far as the system lets it.
func (b *bench) measureReads(ctx context.Context, small, large string) (err error) {
	var snapshots, lists pair
	selecting := make([]rates, len(selections))
	queries := []store.ListQuery{
		{Labels: state.LabelsOf(map[string]string{selectedLabel: selectedValue}), Limit: 100},
		{Name: selectedName, Limit: 100},
	}
	var steps []step
	for _, f := range []struct {
		path             string
		tasks            int
		snapshots, lists *rates
	}{
		{small, b.few, &snapshots.few, &lists.few},
		{large, b.tasks, &snapshots.many, &lists.many},
	} {
		r, err := openRecorder(ctx, f.path, nil, &engine.Options{MaxLiveNodes: 1})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.close()) }()
		q := query.New(r.Engine, nil)
		var answer []byte
		ask := func(task int) (err error) {
			answer, err = q.AppendJSON(ctx, answer[:0], business, fmt.Sprintf("stored-%d", task))
			return err
		}
		for task := range f.tasks {
			if task%1000 == 0 {
				b.progress.Show(fmt.Sprintf("%s of %s tasks asked for", measuring.Count(task), measuring.Count(f.tasks)))
			}
			if err := errors.Join(ask(task), ctx.Err()); err != nil {
				return err
			}
		}
		snapshot := func() error { return ask(rand.IntN(f.tasks)) }
		list := func(by store.ListQuery) func() error {
			return func() error {
				page, err := q.List(ctx, by)
				if err == nil && len(page.Tasks) != min(100, f.tasks/selected) && by.Business == "" {
					err = fmt.Errorf("a list by label or name has %d tasks", len(page.Tasks))
				}
				return err
			}
		}
		of := fmt.Sprintf(" of %s tasks", measuring.Count(f.tasks))
		steps = append(steps,
			step{growthReads[0] + of, b.countCalls(snapshot, f.snapshots)},
			step{growthReads[1] + of, b.countCalls(list(store.ListQuery{Business: business, Limit: 100}), f.lists)})
		for i, by := range queries {
			if f.lists == &lists.many {
				steps = append(steps, step{selections[i] + of, b.countCalls(list(by), &selecting[i])})
			}
		}
	}
	if err := b.interleave(ctx, steps...); err != nil {
		return err
	}
	b.reportGrowth(growthReads[0], &snapshots)
	b.reportGrowth(growthReads[1], &lists)
	for i, what := range selections {
		r := measured(b.withStored(what), selecting[i].perSecond.Median(), "/s").
			against("/s without", lists.many.perSecond.Median())
		b.add(r.goal("≥ 0.5 ×", *r.Ratio >= 0.5))
	}
	return nil
}

func (b *bench) countCalls(call func() error, r *rates) func(context.Context) error {
	return func(context.Context) error {
		before, _ := diskFaults()
		m, err := repeat(b.Window/2, call)
		r.perSecond.Add(float64(time.Second) / float64(max(m.each, 1)))
		if after, ok := diskFaults(); ok {
			r.faults.Add(float64(after-before) / float64(m.calls))
		}
		return err
	}
}

// measureWrites has a lone writer and 256 record on the large store and on one
// of few tasks that is made anew for each round. Both overlays are full enough
// for the write-back to be at work all the time.
func (b *bench) measureWrites(ctx context.Context, fresh, large string) (err error) {
	many, err := openRecorder(ctx, large, nil, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, many.close()) }()
	if err := fill(ctx, many.Engine, "more", b.few, nil, nil); err != nil {
		return err
	}
	var few *recorder
	renew := func(ctx context.Context) (err error) {
		if err = discard(few); err != nil {
			return err
		}
		if few, err = openRecorder(ctx, fresh, nil, nil); err != nil {
			return err
		}
		return fill(ctx, few.Engine, "stored", b.few, nil, nil)
	}
	steps := []step{{"a store of few tasks", renew}}
	recorded := make([]pair, len(growthWrites))
	for i, n := range []int{1, manyWriters} {
		c := newCrew(fmt.Sprintf("crew%d", n), n)
		steps = append(steps,
			step{growthWrites[i] + " few stored", func(ctx context.Context) error {
				o, err := newCrew(fmt.Sprintf("crew%d", n), n).work(ctx, few.Engine, b.Window)
				recorded[i].few.perSecond.Add(o.rate())
				return err
			}},
			step{growthWrites[i] + " many stored", func(ctx context.Context) error {
				o, err := c.work(ctx, many.Engine, b.Window)
				recorded[i].many.perSecond.Add(o.rate())
				return err
			}})
	}
	if err := errors.Join(b.interleave(ctx, steps...), discard(few)); err != nil {
		return err
	}
	for i, what := range growthWrites {
		b.reportGrowth(what, &recorded[i])
	}
	return nil
}

// discard closes a store, if there is one, and removes its file.
func discard(r *recorder) error {
	if r == nil {
		return nil
	}
	return errors.Join(r.close(), os.Remove(r.path))
}
