package boltstore

import (
	"compress/gzip"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

var update = flag.Bool("update", false, "write the golden files anew")

// schemaStory is the content of the files of schema 1: a task with every kind
// of record, an ended one, a deleted one whose key and IDs are in use again,
// and one whose last transitions are only in the journal.
func schemaStory(t testing.TB, s *Store) *model {
	t.Helper()
	m := newModel()
	op := func(kind state.OpKind, node string) state.Op { return state.Op{Kind: kind, Node: node} }
	hex := "0190a6c1d5e87b3c9f00a1b2c3d4e5f6"
	one, two, three := state.Key{Business: "2", Task: "10"}, state.Key{Business: "2", Task: hex}, state.Key{Business: "dept/é", Task: "1"}

	m.do(t, s, one, state.Op{Kind: state.Create, Node: hex, Name: "nightly", Actor: "alice"}, start(hex))
	m.do(t, s, one, state.Op{
		Kind: state.Declare, Node: "build", Parent: hex, NodeKind: state.ServiceActivity,
		Name: "build", NoSkip: true, MaxLoops: 3,
	}, start("build"), state.Op{Kind: state.Fail, Node: "build", Error: "exit status 1", RetryAt: state.UnixInstant(1_700_000_900, 0)})
	m.do(t, s, one, op(state.Retry, "build"), start("build"), op(state.Finish, "build"), op(state.Loop, "build"))
	m.do(t, s, one, state.Op{Kind: state.Fail, Node: "build", Error: "no matter", Ignore: true})
	m.do(t, s, two, newRoot("short"), start("short"), op(state.Finish, "short"))
	m.do(t, s, three, newRoot("root"), start("root"), activity("leaf", "root"))
	m.commit(t, s, m.deletion(three))
	m.do(t, s, three, newRoot("root"), start("root"), activity("leaf", "root"), op(state.Suspend, "root"))
	s.writeBackAll()
	m.do(t, s, one, op(state.Suspend, hex))
	return m
}

// newestStory is storyOfSchema2 with the additions of schema 3, among them a
// task whose nodes fill more than one record of schema 4.
func newestStory(t testing.TB, s *Store) *model {
	t.Helper()
	m := storyOfSchema2(t, s)
	op := func(kind state.OpKind, node string) state.Op { return state.Op{Kind: kind, Node: node} }
	key := state.Key{Business: "2", Task: "keyed"}
	labels := func(m map[string]string) state.Labels { return state.LabelsOf(m) }
	m.do(t, s, key, state.Op{Kind: state.Create, Node: "top", Name: "release", Labels: labels(map[string]string{"env": "prod", "team": ""}), Input: state.NewData([]byte(`{"of":"task"}`))}, start("top"),
		state.Op{Kind: state.Declare, Node: "lint", Parent: "top", NodeKind: state.ServiceActivity, Key: "lint"}, state.Op{Kind: state.Start, Node: "lint", Input: state.NewData([]byte{})},
		state.Op{Kind: state.Declare, Node: "ship", Parent: "top", NodeKind: state.ServiceActivity, Key: "ship it", After: []string{"lint"}},
		state.Op{Kind: state.Finish, Node: "lint"}, state.Op{Kind: state.Loop, Node: "lint", From: "ship it"})
	s.writeBackAll()
	m.do(t, s, key, state.Op{Kind: state.Label, Task: key, Labels: labels(map[string]string{"env": "test"}), Unlabel: []string{"team"}},
		state.Op{Kind: state.Fail, Node: "lint", Error: "exit status 1", Output: state.NewData([]byte("\xff"))},
		state.Op{Kind: state.Suspend, Node: "ship", Note: "waits for approval"})
	s.writeBackAll()
	m.do(t, s, key, state.Op{Kind: state.Label, Task: key, Unlabel: []string{"env"}},
		state.Op{Kind: state.Skip, Node: "lint", Output: state.NewData([]byte("[]"))})
	wide := state.Key{Business: "2", Task: "wide"}
	m.do(t, s, wide, newRoot("w0"), start("w0"))
	for i := 1; i < 20; i++ {
		m.do(t, s, wide, activity(fmt.Sprint("w", i), "w0"))
	}
	s.writeBackAll()
	m.do(t, s, wide, start("w3"), start("w17"), op(state.Finish, "w17"), activity("w20", "w0"))
	s.writeBackAll()
	m.do(t, s, wide, op(state.Finish, "w3"), activity("w21", "w0"))
	return m
}

// storyOfSchema2 is schemaStory with the additions of schema 2.
func storyOfSchema2(t testing.TB, s *Store) *model {
	t.Helper()
	m := schemaStory(t, s)
	op := func(kind state.OpKind, node string) state.Op { return state.Op{Kind: kind, Node: node} }
	key := state.Key{Business: "2", Task: strings.Repeat("long", 32)}
	m.do(t, s, key, state.Op{Kind: state.Create, Node: "r", Actor: strings.Repeat("somebody", 31)}, start("r"),
		state.Op{Kind: state.Declare, Node: "stage", Parent: "r", NodeKind: state.Subprocess}, start("stage"),
		activity("step", "stage"), start("step"),
		state.Op{Kind: state.Fail, Node: "step", Error: "503", RetryAt: state.UnixInstant(1_700_000_900, 0)})
	m.do(t, s, key, op(state.Skip, "step"), op(state.Finish, "stage"), op(state.Reset, "stage"))
	m.do(t, s, key, start("stage"), state.Op{Kind: state.Fail, Node: "stage", Ignore: true},
		activity("late", "r"), op(state.Skip, "late"), activity("left", "r"), start("left"),
		state.Op{Kind: state.Fail, Node: "r", Error: "gave up", Abandon: true})
	m.do(t, s, key, state.Op{Kind: state.Reopen}, state.Op{Kind: state.Fail, Node: "left", Error: "x"},
		state.Op{Kind: state.Finish, Node: "r", Tolerate: true})
	s.writeBackAll()
	m.do(t, s, key, state.Op{Kind: state.Reopen}, state.Op{Kind: state.Revoke, Node: "r", Error: "superseded by run 11"})
	return m
}

// asOfSchema1 makes the model expect only the values that records of schema 1
// have.
func (m *model) asOfSchema1(t testing.TB) {
	t.Helper()
	for _, tr := range m.feed {
		tr.Pending = 0
		for i := range tr.Changes {
			tr.Changes[i].Paused = false
			if old := tr.Changes[i].Superseded; old != nil {
				old.Began, old.Paused = 0, false
			}
		}
	}
	for key, task := range m.tasks {
		task.header.Pending = 0
		var err error
		if task.tree, err = state.NewTree(key).Replay(task.transitions...); err != nil {
			t.Fatal(err)
		}
		for _, list := range task.attempts {
			for i := range list {
				list[i].Began, list[i].Paused = 0, false
			}
		}
	}
}

// dump returns every record of every bucket as text.
func dump(t testing.TB, s *Store) string {
	t.Helper()
	var out strings.Builder
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			fmt.Fprintf(&out, "%s\n", name)
			return b.ForEach(func(k, v []byte) error {
				fmt.Fprintf(&out, "  %x\n    %x\n", k, withoutIDs(t, k, v))
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// withoutIDs returns a record with zeros instead of random bytes.
func withoutIDs(t testing.TB, k, v []byte) []byte {
	t.Helper()
	switch string(k) {
	case string(keyCheckpoint):
		c, err := decodeCheckpoint(v)
		if err != nil {
			t.Fatal(err)
		}
		c.journal, c.at.Sum = journal.ID{}, 0
		return c.record()
	case string(keyHistories):
		return []byte("random") // each file has others
	case string(keyJournal):
		p, err := decodePairing(v)
		if err != nil {
			t.Fatal(err)
		}
		p.journal, p.instance = journal.ID{}, journal.ID{}
		return p.record()
	}
	return v
}

func TestTheFileMatchesTheSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "schema.db")
	s := openQuick(t, path, nil)
	m := newestStory(t, s)
	m.expect(t, openPair(t, s.image(t), nil), "the story")
	got := dump(t, s)
	golden := filepath.Join("testdata", "schema4.golden")
	if *update {
		write(t, golden, []byte(got))
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("records differ; a file of schema 4 must stay readable (-want +got):\n%s", d)
	}
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// unpacked returns the contents of a packed file in testdata.
func unpacked(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := os.Open(filepath.Join("testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The file was written when schema 1 was new, and must never be rewritten.
func TestFileOfSchema1AnswersEverything(t *testing.T) {
	m := schemaStory(t, openQuick(t, filepath.Join(t.TempDir(), "again.db"), nil))
	m.asOfSchema1(t)
	s := openImage(t, unpacked(t, "schema1.db"), nil)
	m.expect(t, s, "schema 1")
	m.do(t, s, state.Key{Business: "2", Task: "10"}, state.Op{Kind: state.Revoke, Node: "0190a6c1d5e87b3c9f00a1b2c3d4e5f6"})
	m.expect(t, s, "schema 1, written to")
	m.do(t, s, state.Key{Business: "2", Task: "10"}, state.Op{Kind: state.Reopen}, state.Op{Kind: state.Reset, Node: "build"})
	m.expect(t, s, "schema 1, with operations of schema 2")
}

// This file and its journal were written when schema 2 was new.
func TestFileOfSchema2AnswersEverything(t *testing.T) {
	m := storyOfSchema2(t, openQuick(t, filepath.Join(t.TempDir(), "again.db"), nil))
	path := image{unpacked(t, "schema2.db"), unpacked(t, "schema2.db-journal")}.write(t)
	for _, when := range []string{"migrated", "opened again"} {
		s := openQuick(t, path, nil)
		m.expect(t, s, "schema 2, "+when)
		for _, q := range []store.ListQuery{{Name: "nightly"}, {HasFailures: true}, {Business: "dept/é"}, {Labels: state.LabelsOf(map[string]string{"a": ""})}} {
			m.expectList(t, s, q)
		}
		key := state.Key{Business: "2", Task: "10"}
		m.do(t, s, key, state.Op{Kind: state.Label, Task: key, Labels: state.LabelsOf(map[string]string{"when": when})})
		m.expectList(t, s, store.ListQuery{Labels: state.LabelsOf(map[string]string{"when": when})})
		_ = s.Close()
	}
}

// This file was written when schema 3 was new, with a task whose newest nodes
// and changes are only in the journal.
func TestFileOfSchema3AnswersEverything(t *testing.T) {
	m := newestStory(t, openQuick(t, filepath.Join(t.TempDir(), "again.db"), nil))
	path := image{unpacked(t, "schema3.db"), unpacked(t, "schema3.db-journal")}.write(t)
	for _, when := range []string{"migrated", "opened again"} {
		s := openQuick(t, path, nil)
		m.expect(t, s, "schema 3, "+when)
		if err := s.Check(t.Context(), func(problem string) { t.Errorf("%s: %s", when, problem) }); err != nil {
			t.Error(err)
		}
		m.do(t, s, state.Key{Business: "2", Task: "wide"}, start("w5"), activity("more, "+when, "w0"))
		s.writeBackAll()
		m.expect(t, s, "schema 3, written to")
		m.do(t, s, state.Key{Business: "2", Task: "wide"}, state.Op{Kind: state.Suspend, Node: "w5"}, state.Op{Kind: state.Revoke, Node: "w5"},
			state.Op{Kind: state.Reset, Node: "w5"})
		_ = s.Close()
	}
}

// The comment in schema.go is what people read; it must list the buckets.
func TestSchemaCommentListsTheBuckets(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "schema.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, group := range file.Comments {
		for line := range strings.Lines(group.Text()) {
			if name, ok := strings.CutPrefix(line, "\t"); ok && name[0] >= 'a' && name[0] <= 'z' {
				listed = append(listed, strings.TrimSpace(name))
			}
		}
	}
	if !slices.Equal(listed, bucketNames[:]) {
		t.Errorf("the comment lists %q, the file has %q", listed, bucketNames)
	}
}
