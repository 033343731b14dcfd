package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	tailFigure     = "p99 of a transition, 256 writers"
	bareTailFigure = "p99 of a bare Update, lone writer"
	writtenFigure  = "bytes written for a transition, 256 writers"
	writtenGoal    = "≤ 1 KiB"
	// cpuGoal is what a transition may cost instead of the writers' goal.
	cpuGoal = 6 * time.Microsecond
	// manyWriters are so many that the processor and not the disk bounds them.
	manyWriters = 256
)

// writersGoal is how many times the yardstick so many writers are to reach.
var writersGoal = map[int]float64{1: 0.95, 32: 12, manyWriters: 40, 1024: 60}

func rateFigure(n int) string {
	if n == 1 {
		return "durable transitions, lone writer"
	}
	return fmt.Sprintf("durable transitions, %s writers", count(n))
}

func cpuFigure(n int) string { return fmt.Sprintf("CPU of a transition, %s writers", count(n)) }

func (b *bench) writerFigures() (names []string) {
	for _, n := range b.writers {
		names = append(names, rateFigure(n))
		if n >= manyWriters {
			names = append(names, cpuFigure(n))
		}
	}
	return append(names, tailFigure, bareTailFigure, writtenFigure)
}

// tail is the latencies of each round, in milliseconds.
type tail struct{ p50, p99 series }

func (t *tail) add(latencies []time.Duration) {
	t.p50.add(millis(percentile(latencies, 50)))
	t.p99.add(millis(percentile(latencies, 99)))
}

func (t *tail) row(figure string) row {
	return measured(figure, t.p99.median(), "ms").beside("ms p50", t.p50.median())
}

// writersSeries is what the rounds measured of so many writers.
type writersSeries struct {
	rate, cpu, written series
	tail               tail
}

func (s *writersSeries) add(o *outcome) {
	s.rate.add(o.rate())
	s.tail.add(o.latencies)
	if o.cpu > 0 {
		s.cpu.add(o.cpuEach().Seconds() * 1e6)
	}
	if o.written >= 0 {
		s.written.add(float64(o.written) / float64(len(o.latencies)))
	}
}

// measureWriters measures single operations, each durable before its writer
// goes on to the next. The write-back is at work from the beginning, since the
// tasks recorded first fill the overlay beyond where it sets in.
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
	b.progress.show("first tasks")
	if err := fill(ctx, r.Engine, "first", b.few, nil); err != nil {
		return err
	}

	var bareRate series
	var bareTail tail
	steps := []step{{"bare", func(context.Context) error {
		if err := yard.growTo(r.path); err != nil {
			return err
		}
		latencies, took, err := yard.window(b.window)
		bareRate.add(float64(len(latencies)) / took.Seconds())
		bareTail.add(latencies)
		return err
	}}}
	all := make(map[int]*writersSeries)
	for _, n := range b.writers {
		s, c := &writersSeries{}, newCrew(fmt.Sprintf("crew%d", n), n)
		all[n] = s
		steps = append(steps, step{rateFigure(n), func(ctx context.Context) error {
			o, err := c.work(ctx, r.Engine, b.window)
			s.add(&o)
			return err
		}})
	}
	if err := b.interleave(ctx, steps...); err != nil {
		return err
	}
	for _, n := range b.writers {
		b.reportWriters(n, all[n], bareRate.median())
	}
	b.reportMany(all[manyWriters], &bareTail)
	return nil
}

func (b *bench) reportWriters(n int, s *writersSeries, bare float64) {
	rate, cpu := s.rate.median(), s.cpu.median()
	times := writersGoal[n]
	goal := fmt.Sprintf("≥ %v ×", times)
	reached := rate >= times*bare
	if n >= manyWriters {
		goal += fmt.Sprintf(" or ≤ %d µs of CPU", cpuGoal.Microseconds())
		reached = reached || cpu > 0 && cpu <= float64(cpuGoal.Microseconds())
	}
	b.add(measured(rateFigure(n), rate, "/s").beside("/s bare", bare).goal(goal, reached))
	switch {
	case n < manyWriters:
	case cpu == 0:
		b.add(notMeasured(cpuFigure(n), "≤ 6 µs or the rate", "this system does not tell"))
	default:
		b.add(measured(cpuFigure(n), cpu, "µs").goal("≤ 6 µs or the rate", reached).
			note("the whole process: write-back, and the writers of this program"))
	}
}

func (b *bench) reportMany(s *writersSeries, bare *tail) {
	r := s.tail.row(tailFigure)
	b.add(r.goal("≤ 5 ×", *r.Ratio <= 5), bare.row(bareTailFigure))
	if len(s.written) == 0 {
		b.add(notMeasured(writtenFigure, writtenGoal, "only Linux tells, in /proc/self/io"))
		return
	}
	written := s.written.median()
	b.add(measured(writtenFigure, written, "B").goal(writtenGoal, written <= 1024).
		note("write_bytes of /proc/self/io"))
}
