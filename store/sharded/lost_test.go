package sharded_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
	"github.com/pipestatus/pipestatus/store/sharded"
)

// wantLost checks that an error names the lost member.
func wantLost(t testing.TB, what string, err error, member string) {
	t.Helper()
	var of *sharded.MemberError
	if !errors.Is(err, store.ErrUnavailable) || !errors.As(err, &of) || of.Member != member {
		t.Errorf("%s: %v, want one that says that member %s is lost", what, err, member)
	}
}

func TestWritesOfOtherMembersCommitWhileOneIsLost(t *testing.T) {
	f := newFleet(t, "abc")
	s := f.open()
	commit(t, s, create(t, "a1", "10", ""), create(t, "b1", "10", ""), create(t, "c1", "10", ""))
	f.databases[1].down.Store(true)
	for round := range 2 { // the first detects the loss
		task := fmt.Sprint("1", round)
		results, err := s.Commit(t.Context(), []store.Write{
			create(t, "b1", task+"x", ""), create(t, "a1", task+"x", ""), create(t, "c1", task+"x", ""), create(t, "b1", task+"y", ""),
		})
		if err != nil {
			t.Fatal(err)
		}
		wantLost(t, "a write to the lost member", results[0].Err, "b")
		wantLost(t, "another write to the lost member", results[3].Err, "b")
		if results[1].Err != nil || results[2].Err != nil {
			t.Errorf("writes to other members: %v, %v", results[1].Err, results[2].Err)
		}
		_, err = s.Commit(t.Context(), []store.Write{create(t, "b1", "z", "")})
		wantLost(t, "a commit that is the lost member's alone", err, "b")
	}
	wantMissing(t, s, store.ListQuery{}, "b", "a1/10", "c1/10", "a1/10x", "c1/10x", "a1/11x", "c1/11x")
	_, err := s.List(t.Context(), store.ListQuery{Business: "b1"})
	wantLost(t, "a list of its business", err, "b")
	_, err = s.Load(t.Context(), store.ByKey("b1", "10"))
	wantLost(t, "a load", err, "b")
	_, err = s.Locate(t.Context(), store.ByNode("no such node"))
	wantLost(t, "a node that is nowhere else", err, "b")
	_, err = store.Last(t.Context(), s)
	wantLost(t, "the last position", err, "b")
	if got := tasks(t, s, store.ListQuery{Business: "a1"}); len(got) != 3 {
		t.Errorf("tasks %q of another member, want 3", got)
	}
	f.databases[1].down.Store(false)
	eventually(t, "the member is back", func() bool {
		_, err := s.Load(t.Context(), store.ByKey("b1", "10"))
		return err == nil
	})
	commit(t, s, create(t, "b1", "11", ""))
	if got := tasks(t, s, store.ListQuery{}); len(got) != 8 {
		t.Errorf("tasks %q, want 8", got)
	}
	sound(t, s)
}

func TestGeneratedNodeIDIsFoundWhileAnotherMemberIsLost(t *testing.T) {
	f := newFleet(t, "ab")
	s := f.open()
	id := "0198a3b2c4d57e6f8a9b0c1d2e3f4a5b"
	commit(t, s, create(t, "a1", "10", id), create(t, "b1", "10", "given"), create(t, "a1", "11", "given too"))
	f.databases[1].down.Store(true)
	if _, err := s.Load(t.Context(), store.ByNode(id)); err != nil {
		t.Error(err)
	}
	_, err := s.Load(t.Context(), store.ByNode("given too")) // the lost member may have it as well
	wantLost(t, "a node that was given its ID", err, "b")
}

func TestMemberThatFailedIsOpenedAgain(t *testing.T) {
	f := newFleet(t, "ab")
	members := f.members()
	var handles []*handle
	members[1].Open = func(context.Context) (store.Store, error) {
		if err := f.databases[1].reach(); err != nil {
			return nil, err
		}
		handles = append(handles, f.databases[1].handle())
		return handles[len(handles)-1], nil
	}
	s := open(t, members, &sharded.Options{Place: byInitial, Retry: time.Millisecond})
	commit(t, s, create(t, "a1", "10", ""), create(t, "b1", "10", ""))
	// The commit applies, but its answer is lost.
	handles[0].AfterCommit = func([]store.Result, error) ([]store.Result, error) {
		f.databases[1].down.Store(true)
		return nil, handles[0].fail()
	}
	results, err := s.Commit(t.Context(), []store.Write{create(t, "a1", "11", ""), create(t, "b1", "11", "")})
	if err != nil || results[0].Err != nil {
		t.Fatal(err, results)
	}
	wantLost(t, "the write whose outcome is unknown", results[1].Err, "b")
	if !errors.Is(results[1].Err, store.ErrFailed) {
		t.Errorf("the write whose outcome is unknown: %v, want one that matches %q", results[1].Err, store.ErrFailed)
	}
	_, err = s.Commit(t.Context(), []store.Write{create(t, "b1", "12", "")})
	wantLost(t, "a write that was not tried", err, "b")
	if errors.Is(err, store.ErrFailed) {
		t.Errorf("a write that was not tried: %v, whose outcome is known", err)
	}
	f.databases[1].down.Store(false)
	eventually(t, "the member is back", func() bool {
		_, err := s.Load(t.Context(), store.ByKey("b1", "11"))
		return err == nil
	})
	if err := s.Close(); err != nil || len(handles) != 2 || !handles[0].closed || !handles[1].closed {
		t.Errorf("close: %v; %d handles were opened, want 2, all closed", err, len(handles))
	}
}

// follow collects the events of the feed until ctx ends. It begins again after
// each error.
func follow(ctx context.Context, s store.Reader, bookmark feed.Bookmark, see func(*state.Transition)) {
	for ctx.Err() == nil {
		for page, err := range feed.Follow(ctx, s, bookmark, &feed.Options{Limit: 7, Poll: time.Millisecond}) {
			if err != nil {
				break
			}
			for _, tr := range page.Transitions {
				see(tr)
			}
		}
	}
}

func TestFollowerSeesEveryTransitionOnceDespiteLostMembers(t *testing.T) {
	f := newFleet(t, "abc")
	s := f.open()
	var mu sync.Mutex
	var seen []*state.Transition
	following, stop := context.WithCancel(t.Context())
	var followers, writers sync.WaitGroup
	followers.Go(func() {
		follow(following, s, new(feed.Memory), func(tr *state.Transition) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, tr)
		})
	})
	const each = 60
	written := make([][]uint64, 3)
	for i, business := range []string{"a1", "b1", "c1"} {
		writers.Go(func() {
			for n := 0; n < each; {
				results, err := s.Commit(t.Context(), []store.Write{create(t, business, fmt.Sprint(n), "")})
				if resultOf(results, err) != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				written[i] = append(written[i], results[0].First)
				n++
				if n%20 == 10 { // lost for a moment, at different times
					f.databases[i].down.Store(true)
					time.Sleep(time.Duration(2+i) * time.Millisecond)
					f.databases[i].down.Store(false)
				}
			}
		})
	}
	writers.Wait()
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(seen) }
	eventually(t, "the follower has seen everything", func() bool { return count() >= 3*each })
	stop()
	followers.Wait()
	logs := make([][]uint64, 3)
	for _, tr := range seen {
		logs[store.LogOf(tr.Sequence)] = append(logs[store.LogOf(tr.Sequence)], tr.Sequence)
	}
	for i := range logs {
		if !slices.Equal(logs[i], written[i]) {
			t.Errorf("member %d: seen %v, written %v", i, logs[i], written[i])
		}
	}
	sound(t, s)
}

// A member that is restored as an older copy is an explicit error. A consumer
// that continues after it sees no transition of the other members twice.
func TestAMemberReplacedByABackupIsAGapOfThatMemberOnly(t *testing.T) {
	f := newFleet(t, "ab")
	s := f.open()
	commit(t, s, create(t, "a1", "10", ""), create(t, "b1", "10", ""))
	bookmark := new(feed.Memory)
	_, at := changes(t, s, store.Position{})
	if err := bookmark.Save(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	f.databases[1].Store = store.NewMemory()
	commit(t, f.databases[1], create(t, "b1", "10", ""))
	s = f.open()
	commit(t, s, create(t, "a1", "11", ""))
	var gap *store.GapError
	if _, err := s.Feed(t.Context(), at, 0); !errors.Is(err, store.ErrHistory) || !errors.As(err, &gap) {
		t.Fatalf("feed after a position that a member does not have: %v, want a gap", err)
	}
	var got []string
	for page, err := range feed.Follow(t.Context(), s, bookmark, &feed.Options{
		Gap: func(context.Context, store.Position, error) error { return nil },
	}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Transitions) == 0 {
			break
		}
		for _, tr := range page.Transitions {
			got = append(got, tr.Task.String())
		}
	}
	want := []string{state.Key{Business: "b1", Task: "10"}.String(), state.Key{Business: "a1", Task: "11"}.String()}
	if !slices.Equal(got, want) {
		t.Errorf("behind the gap are %q, want %q", got, want)
	}
}
