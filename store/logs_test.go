package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// in is a sequence of a log.
func in(log int, sequence uint64) uint64 { return uint64(log)*store.LogSize + sequence }

func TestPositionsOfSeveralLogsAreReadAsTheyWereWritten(t *testing.T) {
	one, two := store.Position{History: store.NewHistory(), Sequence: 7}, store.Position{History: store.NewHistory()}
	for _, logs := range [][]store.Position{{one, two}, {{}, one}, {two, {}, {}, one}, append(make([]store.Position, store.MaxLogs-1), one)} {
		p := store.Join(logs...)
		if got := p.Logs(); !slices.Equal(got, logs) {
			t.Errorf("logs %v are joined as %v", logs, got)
		}
		if got, err := store.ParsePosition(p.String()); err != nil || got != p {
			t.Errorf("%s is read as %s: %v", p, got, err)
		}
	}
	if store.Join(one, store.Position{}) != one || store.Join() != (store.Position{}) {
		t.Error("a log at its beginning, after all others, makes another position")
	}
	for _, text := range []string{
		".", "0.", "0.0", one.String() + ".", one.String() + ".0", "." + one.String(), "0.7", "0.0." + one.String() + "x",
		strings.Repeat("0.", store.MaxLogs) + one.String(), strings.Repeat("0.", 10<<20),
	} {
		if _, err := store.ParsePosition(text); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%.40q: %v, want one that matches %q", text, err, state.ErrInvalidArgument)
		}
	}
}

func TestPositionMovesInTheLogOfASequence(t *testing.T) {
	a, b := store.NewHistory(), store.NewHistory()
	p := store.Position{}.With(a, 5).With(b, in(2, 3))
	for sequence, has := range map[uint64]bool{
		5: true, 6: false, in(1, 0): true, in(1, 1): false, in(2, 3): true, in(2, 4): false, in(3, 1): false,
	} {
		if p.Has(sequence) != has {
			t.Errorf("position %s has %d: %t", p, sequence, !has)
		}
	}
	if p.In(99) != 5 || p.In(in(1, 9)) != in(1, 0) || p.In(in(2, 9)) != in(2, 3) || p.HistoryOf(in(2, 1)) != b {
		t.Errorf("position %s is at %d, %d and %d", p, p.In(99), p.In(in(1, 9)), p.In(in(2, 9)))
	}
	later := p.At(in(2, 10)).At(4)
	if n := p.Lag(later); n != 7 {
		t.Errorf("lag behind %s is %d, want 7", later, n)
	}
	if n := later.Lag(p); n != 1 {
		t.Errorf("lag of %s is %d, want 1", later, n)
	}
	if p.Lag(p) != 0 || (store.Position{}).Lag(p) != 8 {
		t.Error("lag behind itself, or from the beginning, is wrong")
	}
	if store.LogOf(store.End.Sequence) != 0 || store.LogOf(in(store.MaxLogs-1, 1)) != store.MaxLogs-1 {
		t.Error("sequences are of other logs")
	}
}

func TestFeedPageOfSeveralLogsMovesEachOfThem(t *testing.T) {
	a, b := store.NewHistory(), store.NewHistory()
	page := store.FeedPage{
		From: store.Position{}.With(a, 2).With(b, in(1, 8)),
		Last: store.Position{}.With(a, 9).With(b, in(1, 8)).With(b, in(2, 4)),
	}
	for _, sequence := range []uint64{3, in(2, 1), 4, in(2, 2)} {
		page.Transitions = append(page.Transitions, &state.Transition{Sequence: sequence})
	}
	var got []store.Position
	for event := range page.Events() {
		got = append(got, event.Position)
	}
	third := page.From.With(a, 3)
	want := []store.Position{third, third.With(b, in(2, 1)), third.With(b, in(2, 1)).With(a, 4), third.With(b, in(2, 2)).With(a, 4)}
	if !slices.Equal(got, want) || page.After() != want[3] {
		t.Errorf("positions %v, and %s behind the page, want %v", got, page.After(), want)
	}
	page.Transitions = nil
	if page.After() != page.Last {
		t.Errorf("behind an empty page is %s, want %s", page.After(), page.Last)
	}
}

func TestStoreOfOneLogRefusesPositionsOfSeveral(t *testing.T) {
	past := store.Histories(nil).Begin(0)
	p := past.At(3).With(store.NewHistory(), in(1, 1))
	if err := past.Check(p, 1, 9); !errors.Is(err, store.ErrHistory) {
		t.Errorf("check of %s: %v, want %v", p, err, store.ErrHistory)
	}
}
