package feed_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/enginetest"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// record creates n tasks.
func record(t *testing.T, e *engine.Engine, n int) {
	t.Helper()
	for range n {
		if _, err := e.Create(t.Context(), "2", strconv.FormatUint(e.Position().Sequence+1, 10)); err != nil {
			t.Fatal(err)
		}
	}
}

// consume follows the feed to its end and returns the sequences.
func consume(t *testing.T, r store.Reader, b feed.Bookmark, o *feed.Options) (seen []uint64, err error) {
	t.Helper()
	for page, err := range feed.Follow(t.Context(), r, b, o) {
		if err != nil || len(page.Transitions) == 0 {
			return seen, err
		}
		for _, tr := range page.Transitions {
			seen = append(seen, tr.Sequence)
		}
	}
	return seen, nil
}

func expect(t *testing.T, what string, got []uint64, err error, want ...uint64) {
	t.Helper()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: %d, %v, want %d", what, got, err, want)
	}
}

func TestAConsumerContinuesAtItsBookmark(t *testing.T) {
	e, b := enginetest.Engine(t), feed.File(filepath.Join(t.TempDir(), "bookmark"))
	record(t, e, 3)
	got, err := consume(t, e, b, &feed.Options{Limit: 2})
	expect(t, "the first time", got, err, 1, 2, 3)
	got, err = consume(t, e, b, nil)
	expect(t, "nothing new", got, err)
	record(t, e, 2)
	got, err = consume(t, e, b, nil)
	expect(t, "new transitions", got, err, 4, 5)
}

func TestAnUnfinishedPageIsDeliveredAgain(t *testing.T) {
	e, b := enginetest.Engine(t), new(feed.Memory)
	record(t, e, 3)
	for page, err := range feed.Follow(t.Context(), e, b, &feed.Options{Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		if page.Transitions[0].Sequence == 3 {
			break
		}
	}
	got, err := consume(t, e, b, nil)
	expect(t, "after a break in the second page", got, err, 3)
}

func TestTheStartIsSavedBeforeAnythingIsYielded(t *testing.T) {
	e, b := enginetest.Engine(t), new(feed.Memory)
	record(t, e, 3)
	got, err := consume(t, e, b, &feed.Options{Start: store.End})
	expect(t, "from the end", got, err)
	record(t, e, 1)
	got, err = consume(t, e, b, &feed.Options{Start: store.End})
	expect(t, "later transitions", got, err, 4)

	b = new(feed.Memory)
	record(t, e, 1)
	start := e.Position()
	record(t, e, 1)
	got, err = consume(t, e, b, &feed.Options{Start: start})
	expect(t, "from a position", got, err, 6)
}

// hidden hides all methods of a reader except those of the contract.
type hidden struct{ store.Reader }

func TestFollowWaitsForTheNextCommit(t *testing.T) {
	for name, hide := range map[string]bool{"of an engine, which is watched": false, "of a store, which is polled": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := enginetest.Engine(t)
				var r store.Reader = e
				if hide {
					r = hidden{e}
				}
				ctx, stop := context.WithCancel(t.Context())
				seen := make(chan uint64, 10)
				ended := make(chan error, 1)
				go func() {
					for page, err := range feed.Follow(ctx, r, new(feed.Memory), nil) {
						if err != nil {
							ended <- err
						}
						for _, tr := range page.Transitions {
							seen <- tr.Sequence
						}
					}
					close(ended)
				}()
				for want := uint64(1); want <= 3; want++ {
					synctest.Wait()
					record(t, e, 1)
					if got := <-seen; got != want {
						t.Fatalf("got %d, want %d", got, want)
					}
				}
				stop()
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
				if _, more := <-ended; more {
					t.Error("Follow yielded something after the error")
				}
			})
		})
	}
}

func TestFollowEndsWhenTheEngineCloses(t *testing.T) {
	s := store.NewMemory()
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, err = range feed.Follow(t.Context(), e, new(feed.Memory), nil) {
		if err == nil {
			e.Close()
		}
	}
	if !errors.Is(err, store.ErrClosed) {
		t.Errorf("it ended with %v", err)
	}
}

// forgetful has a feed with only the transitions after a sequence.
type forgetful struct {
	store.Reader
	kept uint64
}

func (f *forgetful) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	if after.Sequence < f.kept {
		return store.FeedPage{}, store.ErrTrimmed
	}
	page, err := f.Reader.Feed(ctx, after, limit)
	page.First = max(page.First, f.kept+1)
	return page, err
}

func TestAGapIsAnErrorUnlessTheConsumerDecidesOtherwise(t *testing.T) {
	e := enginetest.Engine(t)
	record(t, e, 5)
	other := enginetest.Engine(t)
	record(t, other, 3)
	trimmed := &forgetful{e, 3}
	for _, gap := range []struct {
		name   string
		r      store.Reader
		at     store.Position
		reason error
		then   []uint64
	}{
		{"trimmed", trimmed, e.Position().At(1), store.ErrTrimmed, []uint64{4, 5}},
		{"of another history", e, other.Position(), store.ErrHistory, []uint64{1, 2, 3, 4, 5}},
		{"of another history, in a trimmed feed", trimmed, store.Position{History: store.NewHistory(), Sequence: 4}, store.ErrHistory, []uint64{4, 5}},
	} {
		t.Run(gap.name, func(t *testing.T) {
			b := new(feed.Memory)
			b.Save(t.Context(), gap.at)
			if _, err := consume(t, gap.r, b, nil); !errors.Is(err, gap.reason) {
				t.Errorf("by default: %v", err)
			}
			refused := errors.New("refused")
			_, err := consume(t, gap.r, b, &feed.Options{Gap: func(context.Context, store.Position, error) error { return refused }})
			if !errors.Is(err, refused) {
				t.Errorf("when the consumer refuses: %v", err)
			}
			if at, _, _ := b.Load(t.Context()); at != gap.at {
				t.Errorf("the bookmark moved to %s", at)
			}
			var told error
			got, err := consume(t, gap.r, b, &feed.Options{Gap: func(_ context.Context, after store.Position, err error) error {
				if after != gap.at {
					t.Errorf("told of a gap after %s", after)
				}
				told = err
				return nil
			}})
			expect(t, "when the consumer agrees", got, err, gap.then...)
			if !errors.Is(told, gap.reason) {
				t.Errorf("told %v", told)
			}
		})
	}
}

func TestABookmarkFileIsReplacedAtomicallyAndChecked(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bookmark")
	b := feed.File(name)
	if _, found, err := b.Load(t.Context()); found || err != nil {
		t.Errorf("without a file: %v, %v", found, err)
	}
	if err := os.WriteFile(name+".tmp", []byte("left by a killed process"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []store.Position{{}, {History: store.NewHistory(), Sequence: 7}, {History: store.NewHistory(), Sequence: 1 << 63}} {
		if err := b.Save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if at, found, err := b.Load(t.Context()); at != want || !found || err != nil {
			t.Errorf("%s came back as %s, %v, %v", want, at, found, err)
		}
	}
	if _, err := os.Stat(name + ".tmp"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file: %v", err)
	}
	for _, content := range []string{"", "\n", "17", "1-0", "no position", string(make([]byte, 1<<20))} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := consume(t, store.NewMemory(), b, nil); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%.20q: %v", content, err)
		}
		if now, _ := os.ReadFile(name); string(now) != content {
			t.Errorf("%.20q was overwritten", content)
		}
	}
}

func TestABookmarkThatCannotBeSavedEndsFollow(t *testing.T) {
	e := enginetest.Engine(t)
	record(t, e, 1)
	b := feed.File(filepath.Join(t.TempDir(), "missing", "bookmark"))
	if got, err := consume(t, e, b, nil); !errors.Is(err, os.ErrNotExist) || len(got) > 0 {
		t.Errorf("got %d, %v", got, err)
	}
}
