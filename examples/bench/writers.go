package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
)

const (
	tailFigure     = "p99 of a transition, 256 writers"
	overFigure     = "durable transitions, lone writer, to the disk's"
	loneTailFigure = "p99 of a transition, lone writer"
	loneMaxFigure  = "longest wait of a transition, lone writer"
	bareTailFigure = "p99 of a bare Update, lone writer"
	overTailFigure = "p99 of an overwrite of 4 KiB, lone writer"
	writtenFigure  = "bytes written for a transition, 256 writers"
	writtenGoal    = "≤ 600 B"
	// cpuGoal is the alternative to the writers' goal: the CPU time per transition.
	cpuGoal = 4500 * time.Nanosecond
	// manyWriters is a number of writers at which the processor is the limit, not the
	// disk.
	manyWriters = 256
)

const cpuGoalText = "≤ 4.5 µs of CPU"

// writersGoal is the goal for a number of writers, as a multiple of the yardstick.
var writersGoal = map[int]float64{1: 1.8, 32: 25, manyWriters: 60, 1024: 70}

func rateFigure(n int) string {
	if n == 1 {
		return "durable transitions, lone writer"
	}
	return fmt.Sprintf("durable transitions, %s writers", measuring.Count(n))
}

func cpuFigure(n int) string {
	return fmt.Sprintf("CPU of a transition, %s writers", measuring.Count(n))
}

func (b *bench) writerFigures() (names []string) {
	for _, n := range b.writers {
		names = append(names, rateFigure(n))
		if n >= manyWriters {
			names = append(names, cpuFigure(n))
		}
	}
	return append(names, overFigure, loneTailFigure, loneMaxFigure, tailFigure, bareTailFigure, overTailFigure, writtenFigure)
}

// tail is the latencies of each round, in milliseconds.
type tail struct{ p50, p99, longest measuring.Series }

func (t *tail) add(latencies []time.Duration) {
	t.p50.Add(millis(percentile(latencies, 50)))
	t.p99.Add(millis(percentile(latencies, 99)))
	t.longest.Add(millis(percentile(latencies, 100)))
}

func (t *tail) row(figure string) row {
	return measured(figure, t.p99.Median(), "ms").against("ms p50", t.p50.Median())
}

// writersSeries holds the results of the rounds for a number of writers.
type writersSeries struct {
	rate, cpu, written measuring.Series
	tail               tail
}

func (s *writersSeries) add(o *outcome) {
	s.rate.Add(o.rate())
	s.tail.add(o.latencies)
	if o.cpu > 0 {
		s.cpu.Add(o.cpuEach().Seconds() * 1e6)
	}
	if o.written >= 0 {
		s.written.Add(float64(o.written) / float64(len(o.latencies)))
	}
}

// measureWriters measures single operations, each durable before its writer
// continues. The write-back runs from the beginning, since the tasks recorded first
// fill the overlay beyond its threshold.
func (b *bench) measureWriters(ctx context.Context) (err error) {
	r, err := openRecorder(ctx, b.file("writers.db"), nil, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	yard, err := openBare(b.file("bare.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, yard.db.Close()) }()
	disk, err := openOverwrite(b.file("overwrite"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.file.Close()) }()
	b.progress.Show("first tasks")
	if err := fill(ctx, r.Engine, "first", b.few, nil, nil); err != nil {
		return err
	}

	var bareRate, diskRate measuring.Series
	var bareTail, diskTail tail
	steps := []step{{"bare", func(context.Context) error {
		if err := yard.growTo(r.path); err != nil {
			return err
		}
		latencies, took, err := writesFor(b.Window, yard.put)
		bareRate.Add(float64(len(latencies)) / took.Seconds())
		bareTail.add(latencies)
		return err
	}}, {"overwrite", func(context.Context) error {
		latencies, took, err := writesFor(b.Window, disk.put)
		diskRate.Add(float64(len(latencies)) / took.Seconds())
		diskTail.add(latencies)
		return err
	}}}
	all := make(map[int]*writersSeries)
	for _, n := range b.writers {
		s, c := &writersSeries{}, newCrew(fmt.Sprintf("crew%d", n), n)
		all[n] = s
		steps = append(steps, step{rateFigure(n), func(ctx context.Context) error {
			o, err := c.work(ctx, r.Engine, b.Window)
			s.add(&o)
			return err
		}})
	}
	if err := b.interleave(ctx, steps...); err != nil {
		return err
	}
	for _, n := range b.writers {
		b.reportWriters(n, all[n], bareRate.Median())
	}
	b.reportLone(all[1], diskRate.Median())
	b.reportMany(all[manyWriters])
	b.add(bareTail.row(bareTailFigure), diskTail.row(overTailFigure))
	return nil
}

func (b *bench) reportWriters(n int, s *writersSeries, bare float64) {
	rate, cpu := s.rate.Median(), s.cpu.Median()
	times := writersGoal[n]
	goal := fmt.Sprintf("≥ %v ×", times)
	reached := rate >= times*bare
	if n >= manyWriters {
		goal += " or " + cpuGoalText
		reached = reached || cpu > 0 && cpu <= cpuGoal.Seconds()*1e6
	}
	b.add(measured(rateFigure(n), rate, "/s").against("/s bare", bare).goal(goal, reached))
	switch {
	case n < manyWriters:
	case cpu == 0:
		b.add(notMeasured(cpuFigure(n), cpuGoalText+" or the rate", "this system does not tell"))
	default:
		b.add(measured(cpuFigure(n), cpu, "µs").goal(cpuGoalText+" or the rate", reached).
			note("the whole process: write-back, and the writers of this program"))
	}
}

// reportLone compares a lone writer with the disk, and its tail with its median.
func (b *bench) reportLone(s *writersSeries, disk float64) {
	r := measured(overFigure, s.rate.Median(), "/s").against("/s overwrites of 4 KiB", disk)
	b.add(r.goal("≥ 0.75 ×", *r.Ratio >= 0.75))
	r = s.tail.row(loneTailFigure)
	b.add(r.goal("≤ 2 ×", *r.Ratio <= 2))
	longest := s.tail.longest.Median()
	b.add(measured(loneMaxFigure, longest, "ms").goal("≤ 10 ms, 20 when the file grows", longest <= 20))
}

func (b *bench) reportMany(s *writersSeries) {
	r := s.tail.row(tailFigure)
	b.add(r.goal("≤ 3 ×", *r.Ratio <= 3))
	if len(s.written) == 0 {
		b.add(notMeasured(writtenFigure, writtenGoal, "only Linux tells, in /proc/self/io"))
		return
	}
	written := s.written.Median()
	b.add(measured(writtenFigure, written, "B").goal(writtenGoal, written <= 600).
		note("wchar of /proc/self/io"))
}
