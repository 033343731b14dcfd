package boltstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// story is a model after a few hundred random commits, as a source of real
// values.
func story(t testing.TB, s *Store, commits, tasks int) *model {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	m := newModel()
	for range commits {
		m.commit(t, s, m.random(r, tasks))
	}
	return m
}

// extremes returns transitions with the smallest and largest values.
func extremes() []*state.Transition {
	first, last := state.UnixInstant(-62135596800, 0), state.UnixInstant(253402300799, 999_999_999)
	full := state.Progress{
		Attempt: state.Attempt{
			Version: state.VersionOf([16]byte{0xff, 15: 1}), State: state.Failed, Began: state.Reset, Along: true, Paused: true,
			Loop: maxInt / 3, Retries: maxInt / 3, Skips: maxInt / 3,
			Skipped: true, ErrorIgnored: true, Started: first, Finished: last, Error: strings.Repeat("é\x00", 5000), RetryAt: last,
		},
		Updated: last, Supersedes: state.VersionOf([16]byte{}),
	}
	attempt := full.Attempt
	id := strings.Repeat("i", state.MaxIDBytes)
	return []*state.Transition{
		{Op: state.Create, At: first, Recorded: last, Shown: state.Created, Changes: []state.Change{{
			ID: "0", Kind: state.Pipeline, Declared: &state.Declaration{ParentIndex: -1},
			Progress: state.Progress{Attempt: state.Attempt{State: state.Created, Loop: 1}, Updated: first},
		}}},
		{Op: state.Loop, At: last, Recorded: first, Actor: id, Shown: state.Revoked, Changes: []state.Change{
			{ID: id, Index: maxInt, Kind: state.ConvergeGateway, From: state.Finished, Progress: full, Superseded: &attempt},
			{
				ID: strings.Repeat("f", 32), Index: 7, Kind: state.Subprocess, Progress: full,
				Declared: &state.Declaration{Parent: id, ParentIndex: 5, Name: strings.Repeat("n", 300), NoRetry: true, NoSkip: true, MaxLoops: maxInt},
			},
		}},
		{Op: state.Delete, At: last, Recorded: last},
	}
}

func number(trs []*state.Transition, first uint64) {
	for i, tr := range trs {
		tr.Sequence = first + uint64(i)
	}
}

// block is the record that holds transitions.
func block(trs []*state.Transition, packed bool) []byte {
	w := blockWriter{packed: packed}
	w.restart(trs[0].Sequence - 1)
	b := []byte{recordVersion}
	for _, tr := range trs {
		b = w.add(b, tr, tr.Sequence)
	}
	return b
}

func frameRecord(trs []*state.Transition, numbers uint64) (k, v []byte) {
	var enc encoder
	f := feedRecord{first: trs[0].Sequence, next: trs[0].Sequence}
	for rest := trs; len(rest) > 0; {
		rest = f.add(numbers, rest, &enc)
	}
	f.close(&enc)
	return seqKey(f.first), f.value
}

func TestRecordsReadBackAsTheyWereWritten(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "story.db"), nil)
	m := story(t, s, 400, 6)
	key := state.Key{Business: "2", Task: "10"}
	stories := [][]*state.Transition{extremes()}
	number(stories[0], 1<<60)
	for k, task := range m.tasks {
		stories = append(stories, task.transitions)
		at := seqKey(task.header.Number)
		if got, err := decodeTask(at, seal(at, appendTask(nil, &task.header))); err != nil || got != task.header {
			t.Errorf("header of %s: %+v, %v, want %+v", k, got, err, task.header)
		}
	}
	for _, trs := range stories {
		for _, tr := range trs {
			tr.Task = key
			for i := range tr.Changes {
				roundTripNode(t, &tr.Changes[i])
			}
		}
		got, err := readBlock(record(block(trs, false)), key, trs[0].Sequence-1, false, "block")
		if err != nil || !reflect.DeepEqual(got, trs) {
			t.Errorf("%d transitions: %v", len(trs), err)
		}
		number(trs, 11) // those of a frame follow one another
		k, v := frameRecord(trs, 5)
		pieces, err := decodeFeed(k, v)
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for i := range pieces {
			some, err := pieces[i].transitions(pieces[i].key)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, some...)
		}
		if !reflect.DeepEqual(got, trs) {
			t.Error("a frame does not hold what was put into it")
		}
	}
}

// Every kind of record that a store writes reads back.
func TestWellFormedTransitionsReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 4000 {
		trs := make([]*state.Transition, 1+r.IntN(3))
		for i := range trs {
			trs[i] = storetest.RandomTransition(r)
			trs[i].Task = trs[0].Task
			for j := range trs[i].Changes {
				roundTripNode(t, &trs[i].Changes[j])
			}
		}
		number(trs, 1+r.Uint64N(1<<60))
		got, err := readBlock(record(block(trs, false)), trs[0].Task, trs[0].Sequence-1, false, "block")
		if err != nil || !reflect.DeepEqual(got, trs) {
			t.Fatalf("%+v\nreads back as %+v, %v", trs, got, err)
		}
	}
}

func roundTripNode(t *testing.T, c *state.Change) {
	t.Helper()
	n := state.Node{ID: c.ID, Kind: c.Kind, Progress: c.Progress}
	if c.Declared != nil {
		n.Declaration = *c.Declared
	}
	var got state.Node
	err := decodeNode(appendNode(nil, &n), &got)
	n.Parent = "" // in the parent's record
	if err != nil || got != n {
		t.Errorf("node is %+v, %v, want %+v", got, err, n)
	}
	if c.Superseded != nil {
		k := attemptKey(1, 2, 3)
		v := seal(k, appendAttempt([]byte{recordVersion}, c.Superseded, state.Instant{}, state.Version{}))
		if got, err := decodeAttempt(k, v); err != nil || got != *c.Superseded {
			t.Errorf("attempt is %+v, %v, want %+v", got, err, *c.Superseded)
		}
	}
}

// seeds adds real records of a bucket, without their seals.
func seeds(f *testing.F, b bucket, isSealed bool) {
	storedRecords(f, b, func(_, v []byte) error {
		if isSealed {
			v = v[:len(v)-sealBytes]
		}
		f.Add(slices.Clone(v))
		return nil
	})
}

// storedRecords calls use with some real records of a bucket.
func storedRecords(f *testing.F, b bucket, use func(k, v []byte) error) {
	s := openQuick(f, filepath.Join(f.TempDir(), "story.db"), nil)
	story(f, s, 150, 4)
	s.writeBackAll()
	err := s.db.View(func(tx *bolt.Tx) error {
		n := 0
		return b.in(tx).ForEach(func(k, v []byte) error {
			if n++; n > 40 {
				return nil
			}
			return use(k, v)
		})
	})
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
}

// unreadable reports whether err is one of the errors for arbitrary bytes: they
// are no record, or one of a later version.
func unreadable(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrIncompatible)
}

// expectStable checks a decoder: it only returns errors that [unreadable]
// accepts, and a record that it reads, written again, reads the same.
func expectStable[T any](t *testing.T, body []byte, decode func(body []byte) (T, error), encode func(T) []byte) {
	t.Helper()
	x, err := decode(body)
	if err != nil {
		if !unreadable(err) {
			t.Fatalf("error %v, want one that says the record is corrupt or of a later version", err)
		}
		return
	}
	again, err := decode(encode(x))
	if err != nil || !reflect.DeepEqual(again, x) {
		t.Fatalf("read %+v, written and read again %+v, %v", x, again, err)
	}
}

func FuzzTask(f *testing.F) {
	seeds(f, tasksBucket, true)
	k := seqKey(5)
	f.Fuzz(func(t *testing.T, body []byte) {
		expectStable(t, body, func(body []byte) (store.Task, error) {
			return decodeTask(k, seal(k, slices.Clone(body)))
		}, func(task store.Task) []byte { return appendTask(nil, &task) })
	})
}

func FuzzAttempt(f *testing.F) {
	seeds(f, attemptsBucket, true)
	k := attemptKey(1, 2, 3)
	f.Fuzz(func(t *testing.T, body []byte) {
		expectStable(t, body, func(body []byte) (state.Attempt, error) {
			return decodeAttempt(k, seal(k, slices.Clone(body)))
		}, func(a state.Attempt) []byte {
			return appendAttempt([]byte{recordVersion}, &a, state.Instant{}, state.Version{})
		})
	})
}

func FuzzPlace(f *testing.F) {
	seeds(f, idsBucket, false)
	f.Fuzz(func(t *testing.T, body []byte) {
		expectStable(t, body, decodePlace, func(p place) []byte { return appendPlace(nil, p) })
	})
}

func FuzzNumber(f *testing.F) {
	seeds(f, keysBucket, false)
	f.Fuzz(func(t *testing.T, body []byte) {
		expectStable(t, body, decodeNumber, func(n uint64) []byte { return appendNumber(nil, n) })
		unsealed := func(v []byte) []byte { return v[:len(v)-sealBytes] }
		expectStable(t, body, func(body []byte) (checkpoint, error) {
			return decodeCheckpoint(seal(keyCheckpoint, slices.Clone(body)))
		}, func(c checkpoint) []byte { return unsealed(c.record()) })
		expectStable(t, body, func(body []byte) (pairing, error) {
			return decodePairing(seal(keyJournal, slices.Clone(body)))
		}, func(p pairing) []byte { return unsealed(p.record()) })
	})
}

func FuzzID(f *testing.F) {
	for _, id := range []string{"a", "2/10.7", strings.Repeat("0", 32), strings.Repeat("F", 32), strings.Repeat("é", 32)} {
		f.Add(appendID(nil, id))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		expectStable(t, body, func(body []byte) (string, error) {
			d, skip := decoder{b: body}, decoder{b: body}
			id := d.id()
			if skip.skipID(); !d.bad && skip.left() != d.left() {
				t.Fatalf("skipping leaves %d bytes, reading %d", skip.left(), d.left())
			}
			return id, d.end("ID")
		}, func(id string) []byte { return appendID(nil, id) })
	})
}

func FuzzInstant(f *testing.F) {
	base := state.UnixInstant(1_700_000_000, 5)
	for _, at := range []state.Instant{{}, base, state.UnixInstant(0, 0), state.UnixInstant(253402300799, 999_999_999)} {
		f.Add(appendMaybe(nil, at, base))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		expectStable(t, body, func(body []byte) (state.Instant, error) {
			d := decoder{b: body}
			at := d.maybe(base)
			if !at.Valid() {
				t.Fatalf("%+v is no instant", at)
			}
			return at, d.end("instant")
		}, func(at state.Instant) []byte { return appendMaybe(nil, at, base) })
	})
}

func fuzzBlock(f *testing.F, packed bool) {
	trs := extremes()
	number(trs, 9)
	f.Add(block(trs, packed))
	f.Fuzz(func(t *testing.T, body []byte) {
		expectStable(t, body, func(body []byte) ([]*state.Transition, error) {
			return readBlock(record(body), state.Key{}, 8, packed, "block")
		}, func(trs []*state.Transition) []byte {
			if len(trs) == 0 {
				return []byte{recordVersion}
			}
			w := blockWriter{packed: packed}
			w.restart(8)
			b := []byte{recordVersion}
			for _, tr := range trs {
				b = w.add(b, tr, tr.Sequence)
			}
			return b
		})
	})
}

func FuzzPackedTransitions(f *testing.F) {
	seeds(f, transitionsBucket, true)
	fuzzBlock(f, true)
}

func FuzzTransitions(f *testing.F) { fuzzBlock(f, false) }

func FuzzFrame(f *testing.F) {
	seeds(f, feedBucket, true)
	k := seqKey(9)
	f.Fuzz(func(t *testing.T, body []byte) {
		pieces, err := decodeFeed(k, seal(k, slices.Clone(body)))
		for i := range pieces {
			if err == nil {
				_, err = pieces[i].transitions(pieces[i].key)
			}
		}
		if err != nil {
			if !unreadable(err) {
				t.Fatalf("error %v, want one that says the frame is corrupt or of a later version", err)
			}
			return
		}
		var enc encoder
		again := feedRecord{first: 9, next: 9}
		var want []*state.Transition
		for i := range pieces {
			trs, _ := pieces[i].transitions(pieces[i].key)
			want = append(want, trs...)
			for rest := trs; len(rest) > 0; {
				rest = again.add(pieces[i].number, rest, &enc)
			}
		}
		again.close(&enc)
		pieces, err = decodeFeed(k, again.value)
		if err != nil {
			t.Fatal(err)
		}
		var got []*state.Transition
		for i := range pieces {
			trs, err := pieces[i].transitions(pieces[i].key)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, trs...)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatal("a frame written anew reads differently")
		}
	})
}

// With bytes altered anywhere in a closed file, every answer is right, or says
// that the file is corrupt, or, where an index entry leads to a missing record,
// Check reports it. No call panics or hangs.
func FuzzAlteredFile(f *testing.F) {
	o := &Options{OverlayTransitions: 100}
	path := filepath.Join(f.TempDir(), "whole.db")
	s := openQuick(f, path, o)
	m := story(f, s, 60, 3)
	image := s.closedImage(f)
	for i, page := range []int{0, 1, 2, 3, 5, 8, 13} {
		f.Add([]byte{byte(page), byte(3 * i), 0xff, byte(page), 200, 1})
		f.Add([]byte{byte(page), 0, 16, byte(page), 128, 64, byte(page), 15, 255})
	}
	f.Fuzz(func(t *testing.T, flips []byte) {
		altered := slices.Clone(image)
		for ; len(flips) >= 3; flips = flips[3:] {
			at := (int(flips[0])<<8 | int(flips[1])) * 16
			altered[(at+int(flips[2]>>4))%len(altered)] ^= flips[2]<<4 | 1
		}
		path := filepath.Join(t.TempDir(), "altered.db")
		if err := os.WriteFile(path, altered, 0o600); err != nil {
			t.Fatal(err)
		}
		examineAltered(t, m, path, o)
	})
}

func examineAltered(t *testing.T, m *model, path string, o *Options) {
	s, err := Open(path, o)
	if err != nil {
		if !unreadable(err) {
			t.Fatalf("open: %v", err)
		}
		return
	}
	s.NoSync()
	defer s.Close()
	var wrong []string
	m.differences(s, func(d string) {
		if wrong = append(wrong, d); strings.HasPrefix(d, "tree") {
			t.Errorf("wrong: %s", d)
		}
	}, func(err error) {
		if !unreadable(err) {
			wrong = append(wrong, err.Error())
		}
	})
	found := 0
	err = s.Check(t.Context(), func(string) { found++ })
	// Check writes back first, which a damaged freelist can make fail.
	if err != nil && !unreadable(err) && !errors.Is(err, store.ErrFailed) {
		t.Fatalf("check: %v", err)
	}
	if len(wrong) > 0 && found == 0 && err == nil {
		t.Fatalf("wrong without a word: %s", fmt.Sprint(wrong))
	}
}
