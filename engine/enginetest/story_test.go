package enginetest_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/engine/enginetest"
	"github.com/pipestatus/pipestatus/store"
)

// listener is a test that records the first failure, which ends the story.
type listener struct{ failure string }

func (*listener) Helper()             {}
func (*listener) Log(...any)          {}
func (l *listener) Error(args ...any) { l.Fatal(args...) }
func (l *listener) Fatal(args ...any) { l.Fatalf("%s", fmt.Sprintln(args...)) }

func (l *listener) Fatalf(format string, args ...any) {
	l.failure = fmt.Sprintf(format, args...)
	panic(l)
}

// tell runs a story of about a hundred steps and returns its failure, or "".
func tell(seed uint64, tally map[string]int, handles ...store.Store) (failure string) {
	random := rand.New(rand.NewPCG(seed, 0))
	l := new(listener)
	defer func() {
		if r := recover(); r != nil && r != l {
			panic(r)
		}
		failure = l.failure
	}()
	story := enginetest.New(l, enginetest.Options{
		Open:   func() ([]store.Store, error) { return handles, nil },
		Chance: func(string) int { return random.IntN(256) },
		Tally:  tally,
	})
	steps := story.Steps()
	names := slices.Sorted(maps.Keys(steps))
	for range 300 {
		steps[names[random.IntN(len(names))]]()
		steps[""]()
	}
	story.Close()
	return ""
}

// kept is a store whose content survives Close, like a file.
type kept struct{ store.Store }

func (*kept) Close() error { return nil }

func TestStoriesOfACorrectStoreSucceed(t *testing.T) {
	tally := make(map[string]int)
	for seed := range uint64(15) {
		s := &kept{store.NewMemory()}
		if failure := tell(seed, tally, s, &kept{s}, s); failure != "" {
			t.Fatalf("seed %d: %s", seed, failure)
		}
	}
	summary := strings.Join(enginetest.Summary(tally), "\n")
	t.Log("what became of operations:\n" + summary)
	for _, what := range []string{
		enginetest.Retried, "ok create", "ok delete", "ok purge", "ok loop", "ok skip", "repeat revoke", "rolled back",
		"refused exists", "refused version_mismatch", "refused not_found",
	} {
		if tally[what] == 0 {
			t.Errorf("in no story there was %q:\n%s", what, summary)
		}
	}
}

// Each of these stores breaks one rule.

type forgetsAttempts struct{ kept }

func (s *forgetsAttempts) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
	past, err := s.kept.Attempts(ctx, ref, q)
	return past[:len(past)/2], err
}

type listsOldestFirst struct{ kept }

func (s *listsOldestFirst) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	page, err := s.kept.List(ctx, q)
	slices.Reverse(page.Tasks)
	return page, err
}

type feedsTheLastTwice struct{ kept }

func (s *feedsTheLastTwice) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	page, err := s.kept.Feed(ctx, after, limit)
	if n := len(page.Transitions); n > 0 {
		page.Transitions = append(slices.Clip(page.Transitions), page.Transitions[n-1])
	}
	return page, err
}

type alwaysConflicts struct{ kept }

func (s *alwaysConflicts) Commit(_ context.Context, changes []store.Write) ([]store.Result, error) {
	return slices.Repeat([]store.Result{{Err: store.ErrConflict}}, len(changes)), nil
}

// neverConflicts accepts every change as if it came from the current revision.
type neverConflicts struct{ kept }

func (s *neverConflicts) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	for i := range changes {
		if at, err := s.Locate(ctx, store.Ref{Key: changes[i].Key()}); err == nil && changes[i].Base != 0 {
			changes[i].Base = at.Revision
		}
	}
	return s.kept.Commit(ctx, changes)
}

func TestStoriesFindBrokenStores(t *testing.T) {
	for name, broken := range map[string]func(kept) store.Store{
		"forgets attempts":     func(s kept) store.Store { return &forgetsAttempts{s} },
		"lists oldest first":   func(s kept) store.Store { return &listsOldestFirst{s} },
		"feeds the last twice": func(s kept) store.Store { return &feedsTheLastTwice{s} },
		"always conflicts":     func(s kept) store.Store { return &alwaysConflicts{s} },
		"never conflicts":      func(s kept) store.Store { return &neverConflicts{s} },
	} {
		t.Run(name, func(t *testing.T) {
			failure := ""
			for seed := uint64(1); failure == "" && seed <= 10; seed++ { // a single story may not come to it
				s := broken(kept{store.NewMemory()})
				failure = tell(seed, nil, s, s)
			}
			if failure == "" {
				t.Error("ten stories ended well")
			}
			t.Log(failure)
		})
	}
}
