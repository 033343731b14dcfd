package enginetest

import (
	"context"
	"reflect"
	"slices"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
)

// complete fills in operations as the engine will: it sets the time and predicts
// the generated IDs and versions.
func (s *Story) complete(ops []state.Op) (given []engine.Op, completed []state.Op) {
	ids := s.ids
	defer func() { s.ids = ids }()
	for _, op := range ops {
		isNew := op.Kind == state.Create || op.Kind == state.Declare || op.Kind == state.Begin
		if op.Kind.NamesAttempt() && op.Kind != state.Declare && !op.VersionGiven {
			op.NewVersion = state.Version{} // the engine generates one
		}
		if isNew && !op.NodeGiven {
			op.Node = ""
		}
		if key, ok := s.keyOf(op); isNew && op.NodeGiven && op.Node != "" {
			if !ok { // its container is new
				key, _ = s.keyOf(ops[0])
			}
			op.Node = s.inLog(op.Node, key.Business)
		}
		given = append(given, s.opts.Op(op))
		op.Now = s.clock
		if isNew && !op.NodeGiven && op.Node == "" {
			op.Node = s.newID()
		}
		if op.Kind.NamesAttempt() && !op.NewVersion.IsSet() {
			op.NewVersion, _ = state.ParseVersion(s.newID())
		}
		completed = append(completed, op)
	}
	return given, completed
}

// record gives operations on one task to the current engine. After it accepts
// them, it shows the current task; until then it may lag behind other engines.
func (s *Story) record(ops []state.Op) {
	s.Helper()
	s.clock = s.draw.Time()
	given, ops := s.complete(ops)
	results, err := s.engine().Record(context.Background(), given...)
	if s.compareAnswer(ops, s.answer(results, err)) {
		key, _ := s.keyOf(ops[0])
		s.compareTask(s.engine(), key)
	}
}

// queue gives the current engine several requests about one task before it
// waits for any.
func (s *Story) queue() {
	s.clock = s.draw.Time()
	key := s.draw.Key()
	var requests [][]state.Op
	var pending []*engine.Pending
	for range 2 + s.draw.UpTo(5, "requests") {
		ops := s.draw.Ops(key, 1+s.draw.UpTo(2, "ops"))
		if owner, ok := s.keyOf(ops[0]); ok && owner != key {
			continue // misshapen; would change the order of sequences
		}
		given, ops := s.complete(ops)
		requests, pending = append(requests, ops), append(pending, s.engine().Submit(given...))
	}
	accepted := false
	for i, p := range pending {
		accepted = s.compareAnswer(requests[i], s.answer(p.Wait(context.Background()))) || accepted
	}
	if accepted {
		s.compareTask(s.engine(), key)
	}
}

// race gives every engine a request at the same time. There must be an order
// in which the model gives the same answers.
func (s *Story) race() {
	s.clock = s.draw.Time()
	key := s.draw.Key()
	var requests [][]state.Op
	var pending []*engine.Pending
	for _, e := range s.engines {
		if s.draw.In(30, "another task") {
			key = s.draw.Key()
		}
		given, ops := s.complete(s.draw.Ops(key, 1+s.draw.UpTo(2, "ops")))
		requests, pending = append(requests, ops), append(pending, e.Submit(given...))
	}
	var got []answer
	for _, p := range pending {
		got = append(got, s.answer(p.Wait(context.Background())))
	}
	m := order(s.model, requests, got, nil)
	if m == nil {
		s.Fatalf("no order of %+v gives the answers of the concurrent engines: %+v", requests, got)
	}
	for i, a := range got {
		s.count(requests[i], a)
	}
	s.become(m)
}

// order finds an order of the remaining requests in which the model gives these
// answers, and returns the model after them, or nil.
func order(m *model.Store, requests [][]state.Op, got []answer, done []int) *model.Store {
	if len(done) == len(requests) {
		return m
	}
	for i := range requests {
		if slices.Contains(done, i) {
			continue
		}
		next := m.Clone()
		if got[i].is(expected(next, requests[i])) {
			if m := order(next, requests, got, append(slices.Clip(done), i)); m != nil {
				return m
			}
		}
	}
	return nil
}

// keyOf is the task an operation belongs to.
func (s *Story) keyOf(op state.Op) (state.Key, bool) {
	if op.ByTask() {
		return op.Task, true
	}
	return s.model.Owner(op.Place())
}

// answer is the complete answer to a request.
type answer struct {
	Results []engine.Result
	model.Refusal
}

// is reports whether two answers say the same. Of misshapen operations the engine
// says what it knows at the time, which other requests may change.
func (a answer) is(want answer) bool {
	if want.Shape {
		a.Refusal = model.Refusal{Code: a.Code, Index: a.Index, Op: a.Op, Shape: true}
	}
	return reflect.DeepEqual(a, want)
}

// answer is the answer of an engine. An error that is no refusal fails the test.
func (s *Story) answer(results []engine.Result, err error) answer {
	s.Helper()
	if err == nil {
		return answer{Results: results}
	}
	refusal, ok := model.RefusalOf(err)
	if !ok {
		s.Fatalf("refused with a %T: %v", err, err)
	}
	return answer{Refusal: refusal}
}

// expected applies operations to a model and returns its answer.
func expected(m *model.Store, ops []state.Op) (a answer) {
	outcomes, refused := m.Do(ops...)
	if refused != nil {
		return answer{Refusal: *refused}
	}
	for _, o := range outcomes {
		a.Results = append(a.Results, engine.Result{
			Sequence: o.Sequence, Node: o.Node, Version: o.Version.String(), Repeated: o.Repeat, Did: o.Did,
		})
	}
	return a
}

// compareAnswer applies the operations to the model, compares the answers and
// reports whether they were accepted.
func (s *Story) compareAnswer(ops []state.Op, got answer) (accepted bool) {
	s.Helper()
	if want := expected(s.model, ops); !got.is(want) {
		s.same("answer", got, want)
	}
	s.count(ops, got)
	return got.Code == ""
}

// count adds an answer to the tally.
func (s *Story) count(ops []state.Op, a answer) {
	if a.Code != "" {
		s.opts.Tally["refused "+a.Code]++
		s.opts.Tally["rolled back"] += a.Index
		return
	}
	for i, r := range a.Results {
		what := "ok "
		if r.Repeated {
			what = "repeat "
		}
		s.opts.Tally[what+ops[i].Kind.String()]++
	}
}
