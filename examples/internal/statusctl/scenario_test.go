package statusctl

import (
	"bytes"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/query"
)

// scenario is a recording of the engine whose get_task_status is reproduced.
type scenario struct {
	Biz, Task string
	Steps     []struct {
		Ops    []map[string]any
		Expect snapshot
	}
	History map[string][]attempt
}

// snapshot is a node as scenarios expect it. Times are Unix seconds.
type snapshot struct {
	ID, State     string
	Retry, Loop   int
	Skip          bool
	Start, Finish *int64
	Children      []snapshot
}

type attempt struct {
	Loop, Retry   int
	Skip          bool
	State         string
	Start, Finish *int64
	Error         string
}

func TestRecordedScenarios(t *testing.T) {
	names, err := filepath.Glob("../../../engine/internal/scenario/testdata/*.json")
	if err != nil || len(names) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			t.Parallel()
			var s scenario
			if err := json.Unmarshal([]byte(read(t, name)), &s); err != nil {
				t.Fatal(err)
			}
			t.Run("in one go", func(t *testing.T) {
				s.play(t, func(parts []string) (answers []string) {
					out := succeed(t, strings.Join(parts, ""), "apply", "-db", ":memory:")
					return strings.SplitAfter(out, "\n")
				})
			})
			t.Run("reopened after every step", func(t *testing.T) {
				db := filepath.Join(t.TempDir(), "a.db")
				s.play(t, func(parts []string) (answers []string) {
					for _, part := range parts {
						out := succeed(t, part, "apply", "-db", db)
						answers = append(answers, slices.Collect(strings.Lines(out))...)
					}
					return answers
				})
			})
		})
	}
}

// play lets apply carry out the scenario, given as parts of the input, and compares
// the answers.
func (s *scenario) play(t *testing.T, apply func(parts []string) (answers []string)) {
	nodes := slices.Sorted(maps.Keys(s.History))
	var parts []string
	for _, step := range s.Steps {
		var part bytes.Buffer
		for _, op := range step.Ops {
			op = maps.Clone(op)
			delete(op, "refused")
			mustWrite(t, &part, op)
		}
		mustWrite(t, &part, map[string]string{"op": "status", "biz": s.Biz, "task": s.Task})
		parts = append(parts, part.String())
	}
	var part bytes.Buffer
	for _, node := range nodes {
		mustWrite(t, &part, map[string]string{"op": "history", "node": node})
	}
	answers := apply(append(parts, part.String()))
	next := func() []byte {
		if len(answers) == 0 {
			t.Fatal("answers are missing")
		}
		answer := answers[0]
		answers = answers[1:]
		return []byte(answer)
	}
	for i, step := range s.Steps {
		for _, op := range step.Ops {
			var got refused
			mustRead(t, next(), &got)
			want, _ := op["refused"].(string)
			if got.Code != want || got.OK != (want == "") {
				t.Fatalf("step %d, %v: answer %+v", i, op, got)
			}
		}
		if diff := cmp.Diff(step.Expect, response(t, next())); diff != "" {
			t.Errorf("step %d (-expected +shown):\n%s", i, diff)
		}
	}
	for _, node := range nodes {
		if diff := cmp.Diff(s.History[node], past(t, next())); diff != "" {
			t.Errorf("history of %s (-expected +shown):\n%s", node, diff)
		}
	}
}

func mustWrite(t *testing.T, to *bytes.Buffer, v any) {
	t.Helper()
	if err := writeLine(to, v); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, from []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(from, v); err != nil {
		t.Fatalf("%s: %v", from, err)
	}
}

func response(t *testing.T, answer []byte) snapshot {
	t.Helper()
	var r struct {
		Result bool
		Data   json.RawMessage
	}
	mustRead(t, answer, &r)
	if !r.Result {
		t.Fatalf("answer %s", answer)
	}
	return node(t, r.Data)
}

// node reads a node of the documented response, its children in their order.
func node(t *testing.T, raw []byte) snapshot {
	t.Helper()
	var n struct {
		snapshot
		StartTime  string          `json:"start_time"`
		FinishTime string          `json:"finish_time"`
		Children   json.RawMessage `json:"children"`
	}
	mustRead(t, raw, &n)
	s := n.snapshot
	s.Start, s.Finish, s.Children = unix(t, n.StartTime), unix(t, n.FinishTime), []snapshot{}
	dec := json.NewDecoder(bytes.NewReader(n.Children))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		var child json.RawMessage
		id, err := dec.Token()
		if err == nil {
			err = dec.Decode(&child)
		}
		if err != nil {
			t.Fatal(err)
		}
		c := node(t, child)
		if c.ID != id {
			t.Errorf("node %q under the key %q", c.ID, id)
		}
		s.Children = append(s.Children, c)
	}
	return s
}

func past(t *testing.T, answer []byte) (attempts []attempt) {
	t.Helper()
	var h historyAnswer
	mustRead(t, answer, &h)
	for _, a := range h.History {
		attempts = append(attempts, attempt{
			Loop: a.Loop, Retry: a.Retry, Skip: a.Skip, State: a.State.String(), Error: a.Error,
			Start: unix(t, whenShown(a.Started)), Finish: unix(t, whenShown(a.Finished)),
		})
	}
	return attempts
}

// unix reads a shown time, nil for "".
func unix(t *testing.T, shown string) *int64 {
	t.Helper()
	if shown == "" {
		return nil
	}
	at, err := time.Parse(query.TimeLayout, shown)
	if err != nil {
		t.Fatal(err)
	}
	sec := at.Unix()
	return &sec
}
