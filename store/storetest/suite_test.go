package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// recorder is a testing.TB that only records failures.
type recorder struct {
	testing.TB

	mu       sync.Mutex // protects messages
	messages []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.messages) > 0
}

// FailNow ends the goroutine in which verdict runs the case.
func (r *recorder) FailNow() { runtime.Goexit() }

// verdict runs a case and returns its failures.
func verdict(t *testing.T, tc testCase, f Factory, reopening bool) []string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		tc.try(r, f, reopening)
	}()
	<-done
	return r.messages
}

// kept is a Memory that can be reopened and copied by replaying its changes. Each
// replay has new positions, since each Memory begins a history.
type kept struct {
	*store.Memory

	mu     sync.RWMutex // keeps commits out of Close; protects the rest
	feed   []*state.Transition
	past   store.Histories
	writes bool // has committed since it was opened
}

// committedData has the bytes of all data, by digest: feeds have only the digest.
var committedData sync.Map

func (k *kept) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	for i := range changes {
		for _, tr := range changes[i].Transitions {
			if tr.Data.Bytes() != nil {
				committedData.Store(tr.Data.Digest(), string(tr.Data.Bytes()))
			}
		}
	}
	k.mu.Lock()
	if last, err := store.Last(ctx, k.Memory); err == nil && !k.writes {
		k.past, k.writes = k.past.Begin(last.Sequence), true
	}
	k.mu.Unlock()
	k.mu.RLock()
	defer k.mu.RUnlock()
	results, err := k.Memory.Commit(ctx, changes)
	for i := range results {
		if r := &results[i]; r.Err == nil {
			r.History = k.past.At(r.First).History
		}
	}
	return results, err
}

func (k *kept) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	snap, err := k.Memory.Load(ctx, ref)
	snap.Position = k.position(snap.Position.Sequence)
	return snap, err
}

func (k *kept) position(sequence uint64) store.Position {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.past.At(sequence)
}

func (k *kept) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	end, err := k.Memory.Feed(ctx, store.End, 1)
	if err != nil {
		return store.FeedPage{}, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if err := k.past.Check(after, end.First, end.Last.Sequence); err != nil {
		return store.FeedPage{}, err
	}
	feed, err := k.Memory.Feed(ctx, end.Last.At(min(after.Sequence, end.Last.Sequence)), limit)
	feed.Last = k.past.At(feed.Last.Sequence)
	return feed, err
}

func (k *kept) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.feed = k.all()
	return k.Memory.Close()
}

// all is the whole feed, or the part that Close kept.
func (k *kept) all() (all []*state.Transition) {
	for after := (store.Position{}); ; {
		feed, err := k.Memory.Feed(context.Background(), after, 0)
		if err != nil {
			return k.feed
		}
		if len(feed.Transitions) == 0 {
			return all
		}
		all = append(all, feed.Transitions...)
		after = feed.After()
	}
}

func (k *kept) backup(testing.TB) func(t testing.TB) store.Store {
	feed, past := k.all(), k.past
	return func(t testing.TB) store.Store {
		restored := reopen(t, feed)
		restored.past, restored.writes = past, false
		return restored
	}
}

// reopen makes a store from the transitions of another, each as a change.
func reopen(t testing.TB, feed []*state.Transition) *kept {
	t.Helper()
	k := &kept{Memory: store.NewMemory()}
	revisions := make(map[state.Key]uint64)
	for _, tr := range feed {
		if tr.Data != nil {
			whole, known := committedData.Load(tr.Data.Digest())
			if !known {
				t.Fatalf("transition %d has data of %s, which nobody committed", tr.Sequence, tr.Data)
			}
			copied := *tr
			copied.Data = state.NewData([]byte(whole.(string)))
			tr = &copied
		}
		results, err := k.Commit(t.Context(), []store.Write{{Base: revisions[tr.Task], Transitions: []*state.Transition{tr}}})
		if err != nil || results[0].Err != nil {
			t.Fatalf("replaying transition %d: %v, %v", tr.Sequence, results, err)
		}
		revisions[tr.Task] = results[0].First
		if tr.Op == state.Delete {
			delete(revisions, tr.Task)
		}
	}
	return k
}

func keptFactory() Factory {
	return Factory{
		New: func(testing.TB) store.Store { return &kept{Memory: store.NewMemory()} },
		Reopen: func(t testing.TB, closed store.Store) store.Store {
			k := closed.(*kept)
			return k.backup(t)(t)
		},
		Backup: func(t testing.TB, s store.Store) func(testing.TB) store.Store { return s.(*kept).backup(t) },
	}
}

func TestMemoryKeepsTheContractReopened(t *testing.T) {
	Run(t, keptFactory())
}

func TestEveryCaseReopensTheStore(t *testing.T) {
	for _, tc := range cases() {
		f, reopened := keptFactory(), 0
		open := f.Reopen
		f.Reopen = func(t testing.TB, closed store.Store) store.Store {
			reopened++
			return open(t, closed)
		}
		tc.try(t, f, true)
		if reopened == 0 {
			t.Errorf("case %q never reopens the store", tc.name)
		}
	}
}

func TestCaseNamesAndRulesAreUnique(t *testing.T) {
	names, rules := make(map[string]bool), make(map[string]bool)
	for _, tc := range cases() {
		if names[tc.name] || rules[tc.rule] || tc.name == "" || tc.rule == "" {
			t.Errorf("case %q, rule %q: not its own", tc.name, tc.rule)
		}
		names[tc.name], rules[tc.rule] = true, true
	}
}

func TestSuiteFindsBrokenStores(t *testing.T) {
	unbroken := make(map[string]bool)
	for _, tc := range cases() {
		unbroken[tc.name] = true
	}
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			for _, name := range m.breaks {
				i := slices.IndexFunc(cases(), func(tc testCase) bool { return tc.name == name })
				if i < 0 {
					t.Fatalf("there is no case %q", name)
				}
				tc := cases()[i]
				delete(unbroken, name)
				failures := verdict(t, tc, m.factory(), m.forget > 0)
				if len(failures) == 0 {
					t.Errorf("case %q does not notice", name)
				}
				for _, f := range failures {
					if !strings.Contains(f, tc.rule) {
						t.Errorf("case %q fails without its rule: %s", name, f)
					}
				}
			}
		})
	}
	for name := range unbroken {
		t.Errorf("case %q is not known to find anything", name)
	}
}
