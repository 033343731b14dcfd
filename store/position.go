package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pipestatus/pipestatus/state"
)

// History names one course of events in a store. A sequence alone does not say
// what a consumer has seen: a restored backup counts on from an earlier
// sequence, with other transitions. The zero History is that of an empty store.
type History [16]byte

// NewHistory returns a random History, for stores that begin one.
func NewHistory() (h History) {
	rand.Read(h[:]) // never fails
	return h
}

// Position is a place in a store's feed of changes: behind the transition with
// that sequence, in that history. Positions come from a [FeedPage], a [Snapshot],
// an [Event] or [Last], can be kept as text, and are compared with ==. The zero
// Position is the beginning of any store.
//
// In a store of several logs, such as one of store/sharded, History and Sequence
// are those of its first log, and the position names those of the others as well.
// A position from before a log was added stays valid: it is at the beginning of that
// log.
type Position struct {
	History  History
	Sequence uint64
	further  string // the logs after the first: see logs.go
}

// End stands for the present end of the feed. [Reader.Feed] after End returns no
// transitions, and the positions between which the feed keeps them.
var End = Position{Sequence: math.MaxUint64}

// Last returns the position of a store's last transition.
func Last(ctx context.Context, r Reader) (Position, error) {
	feed, err := r.Feed(ctx, End, 1)
	return feed.Last, err
}

// String is the position as text that [ParsePosition] reads: without spaces, and
// up to 53 characters for each log. Its form may change.
func (p Position) String() string {
	var b []byte
	for i, log := range p.Logs() {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, log.Sequence, 10)
		if log.History != (History{}) {
			b = state.AppendHexID(append(b, '-'), log.History)
		}
	}
	return string(b)
}

// ParsePosition reads what [Position.String] wrote. Anything else is an error
// that matches [state.ErrInvalidArgument].
func ParsePosition(text string) (Position, error) {
	var logs []Position
	for part := range strings.SplitSeq(text, ".") {
		if len(logs) == MaxLogs {
			break
		}
		digits, history, named := strings.Cut(part, "-")
		sequence, err := strconv.ParseUint(digits, 10, 64)
		id, ok := state.ParseHexID(history)
		if err != nil || named != ok || !named && sequence > 0 {
			break
		}
		logs = append(logs, Position{History: id, Sequence: sequence})
	}
	p := Join(logs...)
	if p.String() != text {
		return Position{}, invalid("that is no position of a feed")
	}
	return p, nil
}

// Event is a committed transition with its position in the feed.
type Event struct {
	*state.Transition
	Position Position // behind the transition
}

// Histories let a store recognize its own positions. They list the histories that
// led to its content, oldest first, each with the sequence after which it began.
// Only Begin changes them, so they can be copied with the store. A store that may be
// a copy begins a new history before its first commit; positions of later commits to
// the original are then in none of its histories. A nil Histories is that of an empty
// store.
type Histories []Beginning

// Beginning is where a history began.
type Beginning struct {
	History History
	After   uint64
}

// historiesKept bounds the number of histories, because a store that is opened for
// each of its commits has many. Positions of older ones are then unknown to it.
const historiesKept = 1000

// Begin returns the histories with a new one that begins after a sequence.
func (hs Histories) Begin(after uint64) Histories {
	kept := hs[max(0, len(hs)+1-historiesKept):]
	return append(slices.Clip(kept), Beginning{NewHistory(), after})
}

// At is the position of a sequence, which must be one of the store's, in the
// newest history.
func (hs Histories) At(sequence uint64) Position {
	if len(hs) == 0 {
		return Position{Sequence: sequence}
	}
	return Position{History: hs[len(hs)-1].History, Sequence: sequence}
}

// Check reports whether a feed that keeps the transitions from first to last can
// continue after a position: [ErrHistory] if the position is of another history,
// [ErrTrimmed] if it is too old.
func (hs Histories) Check(after Position, first, last uint64) error {
	if after == End {
		return nil
	}
	if after != (Position{}) {
		if after.further != "" {
			return fmt.Errorf("%w: position %s, this store has one log", ErrHistory, after)
		}
		i := slices.IndexFunc(hs, func(b Beginning) bool { return b.History == after.History })
		if i < 0 {
			return fmt.Errorf("%w: position %s", ErrHistory, after)
		}
		if i+1 < len(hs) {
			last = hs[i+1].After
		}
		if after.Sequence > last {
			return fmt.Errorf("%w: position %s, that history ends at %d", ErrHistory, after, last)
		}
	}
	if after.Sequence < first-1 {
		return fmt.Errorf("%w: after %d, kept from %d", ErrTrimmed, after.Sequence, first)
	}
	return nil
}
