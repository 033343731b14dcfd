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

// recorder is a testing.TB that only takes note of failures.
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

// FailNow ends the goroutine that verdict runs the case in.
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

// kept is a Memory that can be opened again: it is made anew from its changes.
type kept struct {
	*store.Memory

	mu   sync.RWMutex // keeps commits away from Close; protects feed
	feed []*state.Transition
}

func (k *kept) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.Memory.Commit(ctx, changes)
}

func (k *kept) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		feed, err := k.Feed(context.Background(), uint64(len(k.feed)), 0)
		if err != nil || len(feed.Transitions) == 0 {
			return k.Memory.Close()
		}
		k.feed = append(k.feed, feed.Transitions...)
	}
}

// reopen makes a store of what another kept, each transition a change.
func reopen(t testing.TB, feed []*state.Transition) *kept {
	t.Helper()
	k := &kept{Memory: store.NewMemory()}
	revisions := make(map[state.Key]uint64)
	for _, tr := range feed {
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
		New:    func(testing.TB) store.Store { return &kept{Memory: store.NewMemory()} },
		Reopen: func(t testing.TB, closed store.Store) store.Store { return reopen(t, closed.(*kept).feed) },
	}
}

func TestMemoryKeepsTheContractReopened(t *testing.T) {
	Run(t, keptFactory())
}

func TestEveryCaseReadsAlsoAfterReopening(t *testing.T) {
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

func TestCasesHaveNamesOfTheirOwn(t *testing.T) {
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
