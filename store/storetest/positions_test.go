package storetest

import (
	"context"

	"github.com/pipestatus/pipestatus/store"
)

var positionMutants = []mutant{
	{
		name:   "names a new history in every answer",
		breaks: []string{"positions stay valid"},
		spoil: onFeed(func(_ store.Store, after store.Position) store.Position { return after }, func(feed *store.FeedPage) {
			feed.Last.History = store.NewHistory()
		}),
	},
	{
		name:   "waits behind its end",
		breaks: []string{"positions after the last transition are refused"},
		spoil: onFeed(func(s store.Store, after store.Position) store.Position {
			last, _ := store.Last(context.Background(), s)
			after.Sequence = min(after.Sequence, last.Sequence)
			return after
		}, func(*store.FeedPage) {}),
	},
	{
		name:   "takes every history for its own",
		breaks: []string{"positions of another store are refused"},
		spoil: onFeed(func(s store.Store, after store.Position) store.Position {
			last, _ := store.Last(context.Background(), s)
			return last.At(after.Sequence)
		}, func(*store.FeedPage) {}),
	},
	{
		name:   "continues the history of the original after a restore",
		breaks: []string{"a restored backup refuses later positions"},
		same:   true,
	},
}

// onFeed alters the positions passed to Feed, except End, and its results.
func onFeed(ask func(s store.Store, after store.Position) store.Position, answer func(*store.FeedPage)) func(store.Store, *broken) {
	return func(s store.Store, b *broken) {
		b.changes = func(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
			if after != store.End {
				after = ask(s, after)
			}
			feed, err := s.Feed(ctx, after, limit)
			answer(&feed)
			return feed, err
		}
	}
}
