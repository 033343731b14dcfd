package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// Each kind of damage is done to a file that is otherwise sound.
func TestCheckReportsEachKindOfDamage(t *testing.T) {
	// altered rewrites a record's body and seals it again, as a faulty program
	// would. No checksum reveals such damage.
	altered := func(key []byte, b bucket, change func(body []byte) []byte) func(tx *bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			v := slices.Clone(b.in(tx).Get(key))
			return b.in(tx).Put(key, seal(key, change(v[:len(v)-sealBytes])))
		}
	}
	remove := func(b bucket, key []byte) func(tx *bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			if b.in(tx).Get(key) == nil {
				return errors.New("there is no such record to remove")
			}
			return b.in(tx).Delete(key)
		}
	}
	put := func(b bucket, key, value []byte) func(tx *bolt.Tx) error {
		return func(tx *bolt.Tx) error { return b.in(tx).Put(key, value) }
	}
	flip := func(b bucket, key []byte) func(tx *bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			v := slices.Clone(b.in(tx).Get(key))
			v[len(v)/2] ^= 0x10
			return b.in(tx).Put(key, v)
		}
	}
	replaced := func(old, by string) func(body []byte) []byte {
		return func(body []byte) []byte {
			if !bytes.Contains(body, []byte(old)) {
				t.Fatalf("no %q in %q", old, body)
			}
			return bytes.ReplaceAll(body, []byte(old), []byte(by))
		}
	}
	const number = 1 // of the task: its first sequence
	one := state.Key{Business: "2", Task: "10"}
	tests := []struct {
		name   string
		damage func(tx *bolt.Tx) error
		want   string // in some problem
	}{
		{"task key missing", remove(keysBucket, taskKey(one)), "its key"},
		{"task key leads elsewhere", put(keysBucket, taskKey(one), appendNumber(nil, 99)), "its key"},
		{"task key of no task", put(keysBucket, taskKey(state.Key{Business: "x", Task: "y"}), appendNumber(nil, 77)), "leads to task 77"},
		{"node ID missing", remove(idsBucket, idKey("build")), `its ID "build"`},
		{"node ID leads to another node", put(idsBucket, idKey("build"), appendPlace(nil, place{number, 0})), `its ID "build"`},
		{"node ID of no node", put(idsBucket, idKey("ghost"), appendPlace(nil, place{number, 44})), "node 44"},
		{"not among the unfinished", remove(unfinishedBucket, seqKey(number)), "among the unfinished"},
		{"wrongly among the unfinished", put(unfinishedBucket, seqKey(4444), []byte{recordVersion}), "task 4444"},
		{"not among its business", remove(businessBucket, indexKey(businessPrefix("2"), number)), "index business"},
		{"not under its name", remove(namesBucket, indexKey(namePrefix("nightly"), number)), "index names"},
		{"wrongly among the failures", put(failuresBucket, seqKey(number), inIndex), "among the failures"},
		{"business entry of no task", put(businessBucket, indexKey(businessPrefix("x"), 55), inIndex), "task 55"},
		{"name of another task", put(namesBucket, indexKey(namePrefix("weekly"), number), inIndex), "which is not it"},
		{"label that a task has not", put(labelsBucket, indexKey(labelPrefix("env", "prod"), number), inIndex), "which is not it"},
		{"index entry with a value", put(labelsBucket, indexKey(labelPrefix("env", "prod"), number), []byte{recordVersion, 1}), "malformed labels"},
		{"header missing", remove(tasksBucket, seqKey(number)), "does not exist"},
		{"header altered", altered(seqKey(number), tasksBucket, replaced("nightly", "weekly!")), "header"},
		{"header flipped", flip(tasksBucket, seqKey(number)), "malformed task"},
		{"nodes missing", remove(nodesBucket, nodeKey(number, 0)), "nodes in a row"},
		{"node altered", altered(nodeKey(number, 0), nodesBucket, replaced("no matter", "no mutter")), "by its transitions"},
		{"copy of the header altered", altered(nodeKey(number, 0), nodesBucket, replaced("nightly", "weekly!")), "its header is not that of the task"},
		{"nodes flipped", flip(nodesBucket, nodeKey(number, 0)), "malformed nodes"},
		{"nodes of no task", put(nodesBucket, nodeKey(66, 0), seal(nodeKey(66, 0), appendNode(nil, &state.Node{
			ID: "stray", Kind: state.Pipeline, Declaration: state.Declaration{ParentIndex: -1},
			Progress: state.Progress{Attempt: state.Attempt{State: state.Created, Loop: 1}, Updated: state.UnixInstant(1, 0)},
		}))), "task 66"},
		{"attempt missing", remove(attemptsBucket, attemptKey(number, 1, 2)), "attempts, by its transitions"},
		{"attempt altered", altered(attemptKey(number, 1, 1), attemptsBucket, replaced("exit status 1", "exit status 0")), "attempt 1"},
		{"attempt flipped", flip(attemptsBucket, attemptKey(number, 1, 1)), "malformed attempt"},
		{"attempt of no node", put(attemptsBucket, attemptKey(number, 9, 1), []byte{recordVersion}), "does not exist"},
		{"transitions missing", remove(transitionsBucket, blockKey(number, number)), "by its transitions"},
		{"transitions altered", altered(blockKey(number, number), transitionsBucket, replaced("no matter", "no mutter")), "by its transitions"},
		{"transitions flipped", flip(transitionsBucket, blockKey(number, number)), "malformed transitions"},
		{"feed record missing", remove(feedBucket, seqKey(3)), "comes where 3 should"},
		{"feed record flipped", flip(feedBucket, seqKey(3)), "malformed feed"},
		{"feed cut at its end", func(tx *bolt.Tx) error {
			k, _ := feedBucket.in(tx).Cursor().Last()
			return feedBucket.in(tx).Delete(k)
		}, "the feed ends"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := openQuick(t, filepath.Join(t.TempDir(), "check.db"), nil)
			schemaStory(t, s)
			s.writeBackAll()
			check := func() (problems []string) {
				if err := s.Check(t.Context(), func(p string) { problems = append(problems, p) }); err != nil {
					problems = append(problems, err.Error())
				}
				return problems
			}
			if problems := check(); len(problems) > 0 {
				t.Fatalf("before the damage: %q", problems)
			}
			if err := s.db.Update(test.damage); err != nil {
				t.Fatal(err)
			}
			problems := check()
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, test.want) }) {
				t.Errorf("check reports %q, want one with %q", problems, test.want)
			}
		})
	}
}

// Check finds pages that lead back to themselves or out of the file, without
// following them forever.
func TestCheckFindsPagesThatLeadToWrongPages(t *testing.T) {
	for name, alter := range map[string]func(child uint64, page uint64) uint64{
		"back":   func(_, page uint64) uint64 { return page },
		"beyond": func(uint64, uint64) uint64 { return 1 << 40 },
		"astray": func(child, _ uint64) uint64 { return child + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "astray.db")
			s := openQuick(t, path, nil)
			story(t, s, 300, 40)
			s.writeBackAll()
			alterChild(t, s, transitionsBucket, alter)
			n := 0
			err := s.Check(t.Context(), func(string) { n++ })
			if n == 0 || !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("check reports %d problems and %v", n, err)
			}
		})
	}
}

// alterChild alters the number of the second page that a bucket's root leads to.
func alterChild(t *testing.T, s *Store, b bucket, alter func(child, page uint64) uint64) {
	t.Helper()
	var root uint64
	if err := s.db.View(func(tx *bolt.Tx) error {
		root = uint64(b.in(tx).RootPage())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	page := make([]byte, s.pageSize)
	at := int64(root) * s.pageSize
	if _, err := s.file.ReadAt(page, at); err != nil {
		t.Fatal(err)
	}
	if page[8] != pages.Branch {
		t.Fatal("the bucket has one page only")
	}
	e := page[pages.HeaderBytes+pages.ElementBytes+8:]
	binary.NativeEndian.PutUint64(e, alter(binary.NativeEndian.Uint64(e), root))
	if _, err := s.file.WriteAt(page, at); err != nil {
		t.Fatal(err)
	}
}
