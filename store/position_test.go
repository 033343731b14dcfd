package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func TestPositionsAreReadAsTheyWereWritten(t *testing.T) {
	history := store.NewHistory()
	for _, p := range []store.Position{{}, {History: history}, {History: history, Sequence: 1}, {History: history, Sequence: 1<<64 - 1}} {
		if got, err := store.ParsePosition(p.String()); err != nil || got != p {
			t.Errorf("%v is read as %v: %v", p, got, err)
		}
	}
	hex := strings.Repeat("0a", 16)
	for _, text := range []string{
		"", "-", "1", "0-", "1-" + hex[1:], "1-" + strings.ToUpper(hex), "01-" + hex, "+1-" + hex, "-" + hex, "1-" + hex + " ",
		"1-" + strings.Repeat("0", 32), "18446744073709551616-" + hex, "1-" + hex + "-", store.End.String(), strings.Repeat("9", 10<<20),
	} {
		_, err := store.ParsePosition(text)
		if !errors.Is(err, state.ErrInvalidArgument) || len(err.Error()) > 200 {
			t.Errorf("%.40q: %.200v, want one that matches %q", text, err, state.ErrInvalidArgument)
		}
	}
}

func TestHistoriesAreBoundedAndDropTheOldest(t *testing.T) {
	var past store.Histories
	var positions []store.Position
	for i := range uint64(1500) {
		past = past.Begin(i)
		positions = append(positions, past.At(i+1))
	}
	if len(past) != 1000 {
		t.Fatalf("%d histories are kept, want 1000", len(past))
	}
	for i, p := range positions {
		var want error
		if i < 500 {
			want = store.ErrHistory
		}
		if err := past.Check(p, 1, 1500); !errors.Is(err, want) {
			t.Fatalf("position of opening %d: %v, want %v", i, err, want)
		}
	}
	before := past.At(1500)
	if past.Begin(1500); past.At(1500) != before {
		t.Error("Begin changed the histories it was called on")
	}
}

// A trimmed position and an unknown position are different errors.
func TestATrimmedPositionIsNotOneOfAnotherHistory(t *testing.T) {
	past := store.Histories(nil).Begin(0)
	for sequence, want := range map[uint64]error{0: store.ErrTrimmed, 3: store.ErrTrimmed, 4: nil, 9: nil, 10: store.ErrHistory} {
		if err := past.Check(past.At(sequence), 5, 9); !errors.Is(err, want) {
			t.Errorf("after %d of 5 to 9: %v, want %v", sequence, err, want)
		}
	}
	if err := past.Check(store.Position{}, 5, 9); !errors.Is(err, store.ErrTrimmed) {
		t.Errorf("the beginning: %v, want %v", err, store.ErrTrimmed)
	}
}
