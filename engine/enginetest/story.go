package enginetest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// T is the part of testing.TB that a story needs.
type T interface {
	Helper()
	Log(args ...any)
	Error(args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// Options configure a story.
type Options struct {
	// Open opens the store, which is empty the first time. It returns one handle
	// for each engine; several engines may share a handle. The story calls it
	// again after it has closed all handles, and expects the same content. It
	// must not be nil.
	Open func() ([]store.Store, error)
	// Chance draws a number from 0 to 255, all equally likely, see [Number].
	// what names the choice, for messages. It must not be nil.
	Chance func(what string) int
	// Op makes an operation of a task, which need not be well-formed. Default:
	// the functions and options of package engine do, and all are well-formed.
	Op func(op state.Op) engine.Op
	// First is for stores of several logs: the sequence that the first transition of
	// a business gets if the log that the business is in has none. The story gives
	// no ID to nodes in two logs. Default: all are in one log, which begins at 1.
	First func(business string) uint64
	// Diff describes the difference between an engine's answer and the expected
	// one. Default: both are printed.
	Diff func(want, got any) string
	// Tally, if not nil, counts operations by outcome, and under [Retried] the
	// changes that were applied again after a conflict.
	Tally map[string]int
}

// Retried is the key in [Options.Tally] for changes that were applied again because
// another engine had changed the task. Answers never show this.
const Retried = "applied again after a conflict"

// Number combines 8 bits into a number from 0 to 255. Generators of numbers tend to
// prefer small ones, which makes dull stories; generators of bits do not.
func Number(bits []bool) int { return model.Number(bits) }

// Story is several engines on one store, and a model of its content. It is not
// safe for concurrent use. The engines keep almost nothing in memory.
type Story struct {
	T
	opts      Options
	draw      *model.Drawer
	model     *model.Store
	engineOpt engine.Options
	stores    []store.Store
	engines   []*engine.Engine
	current   int // the engine to use next

	clock   state.Instant
	ids     uint64         // generated so far
	marks   map[int]string // of each log, at the end of the IDs that are given in it
	retried atomic.Int64
}

// New opens the store and begins a story. The caller calls Close.
func New(t T, o Options) *Story {
	if o.Tally == nil {
		o.Tally = make(map[string]int)
	}
	draw := &model.Drawer{Chance: o.Chance, Log: func(op string) { t.Log(op) }, WellFormed: o.Op == nil}
	if o.Op == nil {
		o.Op = opOf
	}
	limits := draw.Limits()
	s := &Story{T: t, opts: o, draw: draw}
	s.engineOpt = engine.Options{
		Limits: limits, MaxLiveNodes: 1 + draw.UpTo(20, "live nodes"), Now: s.now, NewID: s.newID,
		Hooks: &engine.Hooks{Committed: func(i engine.CommitInfo) { s.retried.Add(int64(i.Conflicts)) }},
	}
	s.marks = make(map[int]string)
	s.become(model.New(limits, o.First))
	s.open()
	return s
}

// Steps returns the possible steps by name; the caller decides which to run, in
// which order and how often. The step without a name compares everything that the
// store shows with the model; run it after each other step.
func (s *Story) Steps() map[string]func() {
	return map[string]func(){
		"one by one": func() {
			for range 10 {
				if s.draw.In(30, "another engine") {
					s.pick()
				}
				s.forget()
				s.record(s.draw.Ops(s.draw.Key(), 1))
			}
		},
		"batch":  func() { s.record(s.draw.Ops(s.draw.Key(), 2+s.draw.UpTo(4, "ops"))) },
		"queue":  s.queue,
		"race":   s.race,
		"purge":  s.purge,
		"reopen": func() { s.Close(); s.open() },
		"switch": s.pick,
		"list":   s.list,
		"":       s.compareAll,
	}
}

// Close closes the engines and the store.
func (s *Story) Close() {
	s.Helper()
	for _, e := range s.engines {
		if err := e.Close(); err != nil {
			s.Error("close an engine:", err)
		}
	}
	for i, handle := range s.stores {
		if slices.Contains(s.stores[:i], handle) {
			continue
		}
		if err := handle.Close(); err != nil {
			s.Error("close the store:", err)
		}
	}
	s.stores, s.engines = nil, nil
	s.opts.Tally[Retried] += int(s.retried.Swap(0))
}

func (s *Story) open() {
	s.Helper()
	var err error
	if s.stores, err = s.opts.Open(); err != nil {
		s.Fatal("open the store:", err)
	}
	if len(s.stores) == 0 {
		s.Fatal("open the store: no handle")
	}
	for _, handle := range s.stores {
		e, err := engine.Open(context.Background(), handle, &s.engineOpt)
		if err != nil {
			s.Fatal("open an engine:", err)
		}
		s.engines = append(s.engines, e)
	}
}

// become makes m the expected content of the store.
func (s *Story) become(m *model.Store) { s.model, s.draw.Model = m, m }

// pick chooses the engine to use next.
func (s *Story) pick() { s.current = s.draw.UpTo(len(s.engines), "engine") }

func (s *Story) engine() *engine.Engine { return s.engines[s.current] }

func (s *Story) now() time.Time { return s.clock.Time() }

func (s *Story) newID() string {
	s.ids++
	return fmt.Sprintf("%032x", s.ids)
}

// inLog is an ID that is given to a node of a task, changed so that no node in another
// log has it.
func (s *Story) inLog(id, business string) string {
	if s.opts.First == nil || state.CheckID("node ID", id) != nil || len(id) > 100 {
		return id
	}
	log := store.LogOf(s.opts.First(business))
	if _, ok := s.marks[log]; !ok {
		s.marks[log] = strings.Repeat("'", len(s.marks))
	}
	return strings.TrimRight(id, "'") + s.marks[log]
}

// same fails the test if got differs from the model.
func (s *Story) same(what string, got, want any) {
	s.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	if s.opts.Diff != nil {
		s.Fatalf("%s (-model +engine):\n%s", what, s.opts.Diff(want, got))
	}
	s.Fatalf("%s:\n%+v, the model says\n%+v", what, got, want)
}

// Summary lists a tally, one line for each outcome and then the total.
func Summary(tally map[string]int) (lines []string) {
	total := 0
	for _, what := range slices.Sorted(maps.Keys(tally)) {
		lines = append(lines, fmt.Sprintf("%7d %s", tally[what], what))
		if what != Retried {
			total += tally[what]
		}
	}
	return append(lines, fmt.Sprintf("%7d operations", total))
}
