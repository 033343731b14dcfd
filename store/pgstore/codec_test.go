package pgstore

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// sample is a transition with all fields.
func sample() *state.Transition {
	at := state.UnixInstant(1_500_000_000, 7)
	attempt := state.Attempt{
		Version: state.VersionOf([16]byte{1, 2, 3}), State: state.Failed, Began: state.Reset, Along: true, Paused: true, Loop: 3, Retries: 2, Skips: 1, Skipped: true,
		ErrorIgnored: true, Started: at, Finished: state.UnixInstant(0, 0), Error: "it broke\x00", RetryAt: state.UnixInstant(-62135596800, 999_999_999),
	}
	return &state.Transition{
		Task: state.Key{Business: "2", Task: "10"}, Sequence: 12, Op: state.Retry, At: at, Recorded: state.UnixInstant(9, 9),
		Actor: "somebody", Shown: state.Running, Pending: 3,
		Changes: []state.Change{
			{
				ID: strings.Repeat("0a", 16), Index: 300, Kind: state.ServiceActivity, From: state.Failed,
				Progress: state.Progress{
					Attempt: attempt, Updated: at, Supersedes: state.VersionOf([16]byte{}),
				},
				Superseded: &attempt,
			},
			{
				ID: "工作流", Index: 301, Kind: state.Subprocess,
				Declared: &state.Declaration{Parent: "p", ParentIndex: 4, Name: "a name", NoRetry: true, NoSkip: true, MaxLoops: 1<<31 - 1},
				Progress: state.Progress{Attempt: state.Attempt{State: state.Created, Began: state.Declare, Loop: 1}, Updated: at},
			},
		},
	}
}

func TestARecordWithEveryFieldReadsBack(t *testing.T) {
	want := sample()
	got, err := decodeTransition(encodeTransition(want), want.Sequence, want.Task)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("a transition came back as %+v, %v", got, err)
	}
	c := &want.Changes[1]
	var n state.Node
	err = decodeNode(appendID(nil, c.ID), encodeDeclaration(c.Kind, c.Declared), encodeProgress(&c.Progress), &n)
	wantNode := state.Node{ID: c.ID, Kind: c.Kind, Declaration: *c.Declared, Progress: c.Progress}
	wantNode.Parent = "" // is in the parent's row
	if err != nil || n != wantNode {
		t.Errorf("a node came back as %+v, %v", n, err)
	}
	a, err := decodeAttempt(encodeAttempt(want.Changes[0].Superseded))
	if err != nil || a != *want.Changes[0].Superseded {
		t.Errorf("an attempt came back as %+v, %v", a, err)
	}
}

// Every kind of record that a store writes reads back.
func TestWellFormedTransitionsComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 4000 {
		tr := storetest.RandomTransition(r)
		got, err := decodeTransition(encodeTransition(tr), tr.Sequence, tr.Task)
		if err != nil || !reflect.DeepEqual(got, tr) {
			t.Fatalf("%+v\ncame back as %+v, %v", tr, got, err)
		}
		for i := range tr.Changes {
			c := &tr.Changes[i]
			decl := state.Declaration{ParentIndex: -1}
			if c.Declared != nil {
				decl = *c.Declared
			}
			decl.Parent = "" // is in the parent's row
			want := state.Node{ID: c.ID, Kind: c.Kind, Declaration: decl, Progress: c.Progress}
			var n state.Node
			err := decodeNode(appendID(nil, c.ID), encodeDeclaration(c.Kind, &decl), encodeProgress(&c.Progress), &n)
			if err != nil || n != want {
				t.Fatalf("%+v\ncame back as %+v, %v", want, n, err)
			}
			if c.Superseded == nil {
				continue
			}
			if a, err := decodeAttempt(encodeAttempt(c.Superseded)); err != nil || a != *c.Superseded {
				t.Fatalf("%+v\ncame back as %+v, %v", *c.Superseded, a, err)
			}
		}
	}
}

func TestRecordsThatAreCutShortAreCorrupt(t *testing.T) {
	whole := encodeTransition(sample())
	for n := range whole {
		if _, err := decodeTransition(whole[:n], 1, state.Key{}); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("the first %d of %d bytes: %v, want %v", n, len(whole), err, store.ErrCorrupt)
		}
	}
	whole[0] = 0
	if _, err := decodeTransition(whole, 1, state.Key{}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("no version: %v, want %v", err, store.ErrCorrupt)
	}
}

// This version refuses records of a later version, and does not consider them
// damaged.
func TestRecordsOfALaterVersionAreIncompatible(t *testing.T) {
	whole := encodeTransition(sample())
	for name, alter := range map[string]func(tr *state.Transition, b []byte){
		"format":         func(_ *state.Transition, b []byte) { b[0]++ },
		"operation":      func(tr *state.Transition, _ []byte) { tr.Op = state.Label + 1 },
		"shown state":    func(tr *state.Transition, _ []byte) { tr.Shown = state.Finished + 1 },
		"kind":           func(tr *state.Transition, _ []byte) { tr.Changes[0].Kind = state.ConvergeGateway + 1 },
		"state":          func(tr *state.Transition, _ []byte) { tr.Changes[0].State = state.Finished + 1 },
		"state before":   func(tr *state.Transition, _ []byte) { tr.Changes[0].From = state.Finished + 1 },
		"past beginning": func(tr *state.Transition, _ []byte) { tr.Changes[0].Superseded.Began = state.Label + 1 },
	} {
		tr := sample()
		alter(tr, whole)
		b := encodeTransition(tr)
		if name == "format" {
			b = whole
		}
		if _, err := decodeTransition(b, 1, state.Key{}); !errors.Is(err, store.ErrIncompatible) {
			t.Errorf("a later %s: %v, want %v", name, err, store.ErrIncompatible)
		}
	}
	decl := encodeDeclaration(state.EndEvent, &state.Declaration{Parent: "r"})
	decl[2] |= 1 << 7
	if err := decodeNode(appendID(nil, "n"), decl, encodeProgress(&sample().Changes[0].Progress), new(state.Node)); !errors.Is(err, store.ErrIncompatible) {
		t.Errorf("a later flag: %v, want %v", err, store.ErrIncompatible)
	}
}

// A decoded record, encoded again, decodes to the same.
func FuzzDecoders(f *testing.F) {
	f.Add(encodeTransition(sample()))
	f.Add(encodeAttempt(sample().Changes[0].Superseded))
	f.Add(encodeProgress(&sample().Changes[1].Progress))
	f.Add(encodeHeader(&store.Task{Root: "r", Name: "n", Nodes: 3, Pending: 2, State: state.Running}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if tr, err := decodeTransition(b, 1, state.Key{}); err == nil {
			again, err := decodeTransition(encodeTransition(tr), 1, state.Key{})
			if err != nil || !reflect.DeepEqual(tr, again) {
				t.Errorf("%+v came back as %+v, %v", tr, again, err)
			}
		}
		if a, err := decodeAttempt(b); err == nil {
			if again, err := decodeAttempt(encodeAttempt(&a)); err != nil || again != a {
				t.Errorf("%+v came back as %+v, %v", a, again, err)
			}
		}
		var h store.Task
		if decodeHeader(b, &h) == nil {
			var again store.Task
			if err := decodeHeader(encodeHeader(&h), &again); err != nil || again != h {
				t.Errorf("%+v came back as %+v, %v", h, again, err)
			}
		}
		var n state.Node
		if decodeNode([]byte{1, 'a'}, b, encodeProgress(&sample().Changes[0].Progress), &n) == nil {
			again := state.Node{}
			err := decodeNode([]byte{1, 'a'}, encodeDeclaration(n.Kind, &n.Declaration), encodeProgress(&n.Progress), &again)
			if err != nil || n != again {
				t.Errorf("%+v came back as %+v, %v", n, again, err)
			}
		}
	})
}
