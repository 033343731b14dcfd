package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// future calls f for each value of four bits that no record has yet.
func future[T interface {
	~uint8
	Valid() bool
}](f func(v T),
) {
	for v := T(1); v < 16; v++ {
		if !v.Valid() {
			f(v)
		}
	}
}

func expectRefused(t *testing.T, what string, err error) {
	t.Helper()
	expectError(t, what, err, store.ErrIncompatible)
}

func expectError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want one that matches %q", what, err, want)
	}
}

// This version refuses records of a later version: it would otherwise rewrite
// them with a different meaning.
func TestStatesAndKindsOfALaterVersionAreRefused(t *testing.T) {
	header := func(what string, change func(task *store.Task)) {
		task := store.Task{
			Key: state.Key{Business: "2", Task: "10"}, Root: "root", Revision: 7, Nodes: 1,
			State: state.Running, Shown: state.Running, Recorded: state.UnixInstant(1_700_000_000, 0),
		}
		change(&task)
		k := seqKey(5)
		_, err := decodeTask(k, seal(k, appendTask(nil, &task)))
		expectRefused(t, "header with "+what, err)
	}
	node := func(what string, change func(n *state.Node)) {
		n := state.Node{ID: "n", Kind: state.ServiceActivity, Progress: aProgress()}
		change(&n)
		expectRefused(t, "node with "+what, decodeNode(appendNode(nil, &n), new(state.Node)))
	}
	transition := func(what string, change func(tr *state.Transition)) {
		tr := aTransition()
		change(tr)
		for _, packed := range []bool{true, false} {
			_, err := readBlock(record(block([]*state.Transition{tr}, packed)), tr.Task, tr.Sequence-1, packed, "block")
			expectRefused(t, fmt.Sprint("transition, packed ", packed, ", with ", what), err)
		}
	}
	future(func(st state.State) {
		header(st.String(), func(task *store.Task) { task.State = st })
		header("shown "+st.String(), func(task *store.Task) { task.Shown = st })
		node(st.String(), func(n *state.Node) { n.State = st })
		a := aProgress().Attempt
		a.State = st
		k := attemptKey(5, 1, 1)
		_, err := decodeAttempt(k, seal(k, appendAttempt([]byte{recordVersion}, &a, state.Instant{}, state.Version{})))
		expectRefused(t, "attempt with "+st.String(), err)
		transition("shown "+st.String(), func(tr *state.Transition) { tr.Shown = st })
		transition("from "+st.String(), func(tr *state.Transition) { tr.Changes[0].From = st })
		transition("to "+st.String(), func(tr *state.Transition) { tr.Changes[0].State = st })
		transition("superseded "+st.String(), func(tr *state.Transition) { tr.Changes[0].Superseded.State = st })
	})
	future(func(kind state.Kind) {
		node(kind.String(), func(n *state.Node) { n.Kind = kind })
		transition(kind.String(), func(tr *state.Transition) { tr.Changes[0].Kind = kind })
	})
	future(func(op state.OpKind) {
		node("begun by "+op.String(), func(n *state.Node) { n.Began = op })
		transition(op.String(), func(tr *state.Transition) { tr.Op = op })
		transition("begun by "+op.String(), func(tr *state.Transition) { tr.Changes[0].Began = op })
	})
}

func aProgress() state.Progress {
	at := state.UnixInstant(1_700_000_000, 0)
	return state.Progress{Attempt: state.Attempt{State: state.Failed, Loop: 1, Started: at, Finished: at, Error: "exit status 1"}, Updated: at}
}

func aTransition() *state.Transition {
	p := aProgress()
	superseded := p.Attempt
	return &state.Transition{
		Task: state.Key{Business: "2", Task: "10"}, Sequence: 9, Op: state.Retry, At: p.Updated, Recorded: p.Updated, Shown: state.Running,
		Changes: []state.Change{{ID: "n", Index: 1, Kind: state.ServiceActivity, From: state.Failed, Progress: p, Superseded: &superseded}},
	}
}

// It also refuses unknown flags, which say that more bytes follow or what they
// mean.
func TestFlagsOfALaterVersionAreRefused(t *testing.T) {
	p := aProgress()
	attempt := func(flags uint16) error {
		k := attemptKey(5, 1, 1)
		v := appendProgress([]byte{recordVersion}, &p, state.Instant{}, state.Version{}, flags)
		_, err := decodeAttempt(k, seal(k, v))
		return err
	}
	node := func(flags uint16) error {
		n := state.Node{ID: "n", Kind: state.ServiceActivity, Progress: p}
		v := appendNode(nil, &n)
		at := len(v) - len(appendProgress(nil, &p, p.Updated, state.Version{}, 0))
		v[at], v[at+1] = v[at]|byte(flags), v[at+1]|byte(flags>>8)
		return decodeNode(v, new(state.Node))
	}
	if err := errors.Join(node(0), attempt(hasUpdated)); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []uint16{isDeclared, hasSuperseded} {
		expectError(t, fmt.Sprintf("attempt with %#x", flags), attempt(flags), store.ErrCorrupt)
		expectError(t, fmt.Sprintf("node with %#x", flags), node(flags), store.ErrCorrupt)
	}
	for bit := 4; bit < 8; bit++ {
		along := p
		along.Along = true
		v := appendProgress([]byte{recordVersion}, &along, state.Instant{}, state.Version{}, 0)
		v[len(v)-1] |= 1 << bit
		k := attemptKey(5, 1, 1)
		_, err := decodeAttempt(k, seal(k, v))
		expectRefused(t, fmt.Sprint("attempt with more, bit ", bit), err)
	}
	tr := aTransition()
	declared := *tr
	declared.Changes = []state.Change{tr.Changes[0]}
	declared.Changes[0].Superseded, declared.Changes[0].Declared = nil, &state.Declaration{Parent: "root"}
	read := func(v []byte) error {
		_, err := readBlock(record(v), tr.Task, tr.Sequence-1, false, "block")
		return err
	}
	for bit := 5; bit < 8; bit++ {
		v := block([]*state.Transition{tr}, false)
		v[3] |= 1 << bit // version, sequence, operation, flags
		expectRefused(t, fmt.Sprint("transition with bit ", bit), read(v))
		v = block([]*state.Transition{&declared}, false)
		if err := read(v); err != nil {
			t.Fatal(err)
		}
		v[len(v)-2] |= 1 << bit // before the count of loops
		expectRefused(t, fmt.Sprint("declaration with bit ", bit), read(v))
	}
	for _, tell := range []byte{2, 255} {
		d := decoder{b: append([]byte{tell}, appendInstant(nil, p.Updated, state.Instant{})...)}
		d.maybe(state.Instant{})
		expectError(t, fmt.Sprint("an instant that is there in way ", tell), d.end("instant"), store.ErrCorrupt)
	}
}

// A refused record is never overwritten, whatever happens to its neighbors.
func TestRecordsOfALaterVersionStayAsTheyAre(t *testing.T) {
	path := filepath.Join(t.TempDir(), "later.db")
	s := openQuick(t, path, nil)
	m := newModel()
	key := state.Key{Business: "2", Task: "10"}
	m.do(t, s, key, newRoot("root"), start("root"), activity("leaf", "root"), activity("other", "root"))
	_ = s.Close()
	later := state.Node{ID: "leaf", Index: 1, Kind: state.Kind(15), Declaration: state.Declaration{Parent: "root"}, Progress: aProgress()}
	v := appendNode(nil, &later)
	alterBolt(t, path, func(tx *bolt.Tx) error {
		return alterNode(tx, 1, 1, func([]byte) []byte { return v })
	})

	s = openQuick(t, path, nil)
	_, err := s.Load(t.Context(), store.Ref{Key: key})
	expectRefused(t, "load", err)
	_, err = s.Locate(t.Context(), store.ByNode("leaf"))
	expectRefused(t, "locate", err)
	m.do(t, s, key, start("other"))
	s.writeBackAll()
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	alterBolt(t, path, func(tx *bolt.Tx) error {
		got, err := nodeIn(tx, 1, 1)
		if !bytes.Equal(got, v) {
			t.Errorf("the record is %x, was %x", got, v)
		}
		return err
	})
}
