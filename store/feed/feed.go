// Package feed follows the changes of a store for a consumer that must process
// every change: a program that sends notifications, makes traces, or keeps a copy.
// A [Bookmark] keeps the consumer's position, so that it continues there after a
// crash.
package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Options configure [Follow]. A nil *Options and zero fields stand for the
// defaults.
type Options struct {
	// Start is where a consumer without a bookmark begins. It is saved as the
	// bookmark before anything is yielded. The zero position begins with the
	// oldest transition that the feed keeps, and [store.End] with the next one
	// that is recorded.
	Start store.Position
	// Limit bounds the transitions of a page. Default: [store.DefaultLimit].
	Limit int
	// Poll is the polling interval for a store that can neither be watched nor
	// notify. Default: 500 milliseconds.
	Poll time.Duration
	// Gap decides what happens when the feed no longer has what follows the
	// bookmark. The error matches [store.ErrTrimmed] if transitions were trimmed
	// before the consumer read them, and [store.ErrHistory] if the store never
	// had the position, because a backup was restored or it is another store. If
	// Gap returns nil, Follow continues with the oldest transition that the feed
	// keeps; an error ends it. Default: the error itself ends it.
	Gap func(ctx context.Context, after store.Position, err error) error
}

const defaultPoll = 500 * time.Millisecond

// Follow yields, in order and in pages, every transition that a store commits
// after the bookmark. When the loop body has finished with a page, its end
// becomes the new bookmark; a page that the consumer leaves with break or return
// is yielded again by the next Follow. Each transition is therefore processed at
// least once, even if the consumer is killed at any moment.
//
// A page without transitions says that the consumer has seen everything. Follow
// then waits for the next commit if the reader is a [store.Watcher], such as an engine
// or a client of a running program, or a [store.Notifier], and otherwise polls. It never delays writers, and
// holds one page in memory.
//
// It ends with the context's error, an error of the store or of the bookmark, or
// [store.ErrClosed]. It ends after yielding an error. Only one Follow at a time may
// use a bookmark.
func Follow(ctx context.Context, r store.Reader, b Bookmark, o *Options) iter.Seq2[store.FeedPage, error] {
	f := follower{reader: r, bookmark: b}
	if o != nil {
		f.Options = *o
	}
	if f.Poll <= 0 {
		f.Poll = defaultPoll
	}
	return func(yield func(store.FeedPage, error) bool) {
		if err := f.run(ctx, yield); err != nil {
			yield(store.FeedPage{}, err)
		}
	}
}

type follower struct {
	Options
	reader   store.Reader
	bookmark Bookmark
	after    store.Position // the saved position
}

// run yields pages. The caller yields its error.
func (f *follower) run(ctx context.Context, yield func(store.FeedPage, error) bool) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	for {
		// Listening begins before reading, so that no commit is missed in between.
		var changed <-chan struct{}
		if n, ok := f.reader.(store.Notifier); ok {
			changed = n.Changed()
		}
		page, err := f.page(ctx)
		if err != nil {
			return err
		}
		if !yield(page, nil) {
			return nil
		}
		if after := page.After(); after != f.after {
			if err := f.save(ctx, after); err != nil {
				return err
			}
		}
		if len(page.Transitions) > 0 {
			continue
		}
		if err := f.wait(ctx, changed); err != nil {
			return err
		}
	}
}

// begin reads the bookmark, or saves the first one.
func (f *follower) begin(ctx context.Context) error {
	at, found, err := f.bookmark.Load(ctx)
	if err != nil {
		return fmt.Errorf("bookmark: %w", err)
	}
	if found {
		f.after = at
		return nil
	}
	start := f.Start
	if start == (store.Position{}) || start == store.End {
		oldest, last, err := bounds(ctx, f.reader)
		if err != nil {
			return err
		}
		if start = oldest; f.Start == store.End {
			start = last
		}
	}
	return f.save(ctx, start)
}

// bounds are the positions before the oldest transition that a feed keeps, and
// after the last.
func bounds(ctx context.Context, r store.Reader) (oldest, last store.Position, err error) {
	end, err := r.Feed(ctx, store.End, 1)
	if err != nil {
		return oldest, last, err
	}
	return end.Start(), end.Last, nil
}

// page reads the next page, across a gap if Gap allows it.
func (f *follower) page(ctx context.Context) (store.FeedPage, error) {
	for {
		page, err := f.reader.Feed(ctx, f.after, f.Limit)
		if f.Gap == nil || !errors.Is(err, store.ErrTrimmed) && !errors.Is(err, store.ErrHistory) {
			return page, err
		}
		if err := f.Gap(ctx, f.after, err); err != nil {
			return store.FeedPage{}, err
		}
		resume, err := f.behind(ctx, err)
		if err == nil {
			err = f.save(ctx, resume)
		}
		if err != nil {
			return store.FeedPage{}, err
		}
	}
}

// behind is the position behind a gap.
func (f *follower) behind(ctx context.Context, reason error) (store.Position, error) {
	if gap := (*store.GapError)(nil); errors.As(reason, &gap) {
		return gap.Resume, nil
	}
	oldest, _, err := bounds(ctx, f.reader)
	return oldest, err
}

func (f *follower) save(ctx context.Context, at store.Position) error {
	if err := f.bookmark.Save(ctx, at); err != nil {
		return fmt.Errorf("bookmark: %w", err)
	}
	f.after = at
	return nil
}

// wait returns when there may be more.
func (f *follower) wait(ctx context.Context, changed <-chan struct{}) error {
	if w, ok := f.reader.(store.Watcher); ok {
		next, stop := iter.Pull2(w.Watch(ctx, f.after))
		defer stop()
		_, err, some := next()
		if !some {
			return ctx.Err()
		}
		if errors.Is(err, store.ErrTrimmed) || errors.Is(err, store.ErrHistory) {
			return nil // the next page says so too
		}
		return err
	}
	var tick <-chan time.Time
	if changed == nil {
		timer := time.NewTimer(f.Poll)
		defer timer.Stop()
		tick = timer.C
	}
	select {
	case <-changed:
	case <-tick:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// invalid makes an error that matches [state.ErrInvalidArgument].
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{state.ErrInvalidArgument}, args...)...)
}
