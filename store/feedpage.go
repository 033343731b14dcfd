package store

import (
	"iter"

	"github.com/pipestatus/pipestatus/state"
)

// FeedPage is a page of the store-wide changes. The transitions retained are those
// with sequences First to Last.Sequence; First is one more if none are retained.
//
// A store of several logs gives the transitions of each log in their order, and
// those of different logs in any. First is then that of its first log, and Start
// says what it retains of all.
type FeedPage struct {
	Transitions []*state.Transition
	First       uint64
	Last        Position // of the store, not of the page
	// From is the position that the page follows, and Oldest the one before what
	// is retained. Stores with one log need not set them.
	From, Oldest Position
}

// After is the position behind the page, from which the next page continues.
func (f *FeedPage) After() Position {
	n := len(f.Transitions)
	switch {
	case n == 0:
		return f.Last
	case f.oneLog():
		return f.Last.At(f.Transitions[n-1].Sequence)
	}
	var latest [MaxLogs]uint64
	for _, tr := range f.Transitions {
		latest[LogOf(tr.Sequence)] = tr.Sequence
	}
	at := f.From
	for _, sequence := range latest {
		if sequence > 0 {
			at = at.With(f.Last.HistoryOf(sequence), sequence)
		}
	}
	return at
}

func (f *FeedPage) oneLog() bool { return f.Last.further == "" && f.From.further == "" }

// Events iterates over the page's transitions with their places in the feed.
func (f *FeedPage) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		at := f.From
		for _, tr := range f.Transitions {
			if f.oneLog() {
				at = f.Last.At(tr.Sequence)
			} else {
				at = at.With(f.Last.HistoryOf(tr.Sequence), tr.Sequence)
			}
			if !yield(Event{Transition: tr, Position: at}) {
				return
			}
		}
	}
}

// Start is the position before the oldest transition that the feed retains, the
// zero Position if that is its first.
func (f *FeedPage) Start() Position {
	if f.Last.further == "" && f.First > 1 {
		return f.Last.At(f.First - 1)
	}
	return f.Oldest
}
