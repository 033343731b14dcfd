package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
)

// results holds the results of the rounds for a contender.
type results struct {
	rates        map[int]*measuring.Series // nodes a second, by writers
	idle, loaded map[int]*measuring.Series // milliseconds for a status, by nodes
}

func (c *config) newResults() *results {
	r := &results{make(map[int]*measuring.Series), make(map[int]*measuring.Series), make(map[int]*measuring.Series)}
	for _, n := range writers {
		r.rates[n] = new(measuring.Series)
	}
	for _, n := range c.sizes {
		r.idle[n], r.loaded[n] = new(measuring.Series), new(measuring.Series)
	}
	return r
}

func statusTask(nodes int) string { return fmt.Sprintf("status-of-%d", nodes) }

// measure makes a store for each contender and measures them in turn.
func measure(ctx context.Context, c *config, dir string, p *measuring.Progress) (rows []row, err error) {
	all := entries()
	found := make([]*results, len(all))
	for i := range all {
		e := &all[i]
		p.Show(e.name + ": first tasks")
		own := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(own, 0o700); err != nil {
			return nil, err
		}
		if err := e.open(ctx, own); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		defer func() {
			if closeErr := e.close(context.WithoutCancel(ctx)); closeErr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", e.name, closeErr))
			}
		}()
		err := employed(ctx, e.contender, writers[len(writers)-1], func() (err error) {
			for _, n := range c.sizes {
				err = errors.Join(err, e.record(ctx, statusTask(n), n))
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		found[i] = c.newResults()
	}
	var appends measuring.Series
	own := disk{filepath.Join(dir, "appends")}
	for round := range c.Rounds {
		rate, err := own.work(c.Window)
		if err != nil {
			return nil, err
		}
		appends = append(appends, rate)
		for _, s := range c.steps() {
			for i := range all {
				p.Show(fmt.Sprintf("round %d of %d: %s, %s", round+1, c.Rounds, s.name, all[i].name))
				if err := s.run(ctx, all[i].contender, found[i]); err != nil {
					return nil, fmt.Errorf("%s: %s: %w", s.name, all[i].name, err)
				}
			}
		}
	}
	p.Clear()
	return c.report(all, found, appends.Median()), nil
}

// step is a measurement that all contenders go through before the next.
type step struct {
	name string
	run  func(ctx context.Context, e contender, r *results) error
}

func (c *config) steps() (steps []step) {
	for _, n := range writers {
		steps = append(steps, step{rateFigure(n), func(ctx context.Context, e contender, r *results) error {
			nodes, took, err := work(ctx, e, n, c.nodes, c.Window)
			*r.rates[n] = append(*r.rates[n], float64(nodes)/took.Seconds())
			return err
		}})
	}
	for _, n := range c.sizes {
		steps = append(steps,
			step{statusFigure(n, false), func(ctx context.Context, e contender, r *results) error {
				ms, err := askFor(ctx, e, n, c.Window/4)
				*r.idle[n] = append(*r.idle[n], ms)
				return err
			}},
			step{statusFigure(n, true), func(ctx context.Context, e contender, r *results) error {
				worked := make(chan error, 1)
				go func() {
					_, _, err := work(ctx, e, writers[len(writers)-1], c.nodes, c.Window/2)
					worked <- err
				}()
				ms, err := askFor(ctx, e, n, c.Window/2)
				*r.loaded[n] = append(*r.loaded[n], ms)
				return errors.Join(err, <-worked)
			}})
	}
	return steps
}

// askFor asks for the status of a task again and again and returns the median
// of the milliseconds it took.
func askFor(ctx context.Context, e contender, n int, d time.Duration) (float64, error) {
	var took measuring.Series
	for begin := time.Now(); len(took) == 0 || time.Since(begin) < d; {
		asked := time.Now()
		_, nodes, err := e.status(ctx, statusTask(n))
		took = append(took, time.Since(asked).Seconds()*1e3)
		if err != nil {
			return 0, err
		}
		if nodes != n {
			return 0, fmt.Errorf("the status has %d nodes, not %d", nodes, n)
		}
	}
	return took.Median(), nil
}
