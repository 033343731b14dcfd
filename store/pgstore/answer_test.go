//go:build unix

package pgstore_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// errorMessage is an ErrorResponse of the protocol.
func errorMessage(severity, code string) []byte {
	fields := "S" + severity + "\x00V" + severity + "\x00C" + code + "\x00Mafter the commit\x00\x00"
	message := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(fields)))
	return append(message, fields...)
}

// afterCommit puts an error between the answer to a COMMIT and the end of the
// answer.
func afterCommit(message []byte) func(answer []byte) []byte {
	return func(answer []byte) []byte {
		return slices.Insert(slices.Clone(answer), len(answer)-len(ready), message...)
	}
}

// The server can still report an error when it has committed: a statement
// timeout or a cancel request that arrives between the COMMIT and the end of
// the batch, or the end of the session.
var lateErrors = map[string][]byte{
	"a statement timeout":        errorMessage("ERROR", "57014"),
	"the end of the session":     errorMessage("FATAL", "57P01"),
	"an internal error":          errorMessage("ERROR", "XX000"),
	"a serialization failure":    errorMessage("ERROR", "40001"),
	"a full disk":                errorMessage("ERROR", "53100"),
	"a read-only transaction":    errorMessage("ERROR", "25006"),
	"a connection of a pooler's": errorMessage("ERROR", "08006"),
}

func TestAnAcknowledgedCommitHasHappenedDespiteLaterErrors(t *testing.T) {
	t.Parallel()
	for name, message := range lateErrors {
		t.Run(name, func(t *testing.T) { acknowledgedCommits(t, newBroken(t), message) })
		t.Run(name+", alone", func(t *testing.T) { acknowledgedCommits(t, newLone(t), message) })
	}
}

func acknowledgedCommits(t *testing.T, b *broken, message []byte) {
	before := len(feed(t, b.store, 0))
	for i, op := range []engine.Op{engine.Suspend("a"), engine.Resume("a")} {
		b.nextAnswer(afterCommit(message))
		results, err := b.engine.Record(t.Context(), op)
		if want := uint64(before + 1 + i); err != nil || results[0].Sequence != want {
			t.Fatalf("a commit that was acknowledged: %+v, %v, want sequence %d", results, err, want)
		}
	}
	if n := len(feed(t, b.store, 0)); n != before+2 {
		t.Errorf("%d transitions in the feed, want %d", n, before+2)
	}
	check(t, b.store)
}

// The call that commits among others commits before it ends. An error that may have
// come after that says nothing about the commit.
func TestACommitIsLookedUpAfterAnErrorThatMayHaveComeLater(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"57014", "53200", "XX000", "08006"} {
		b := newBroken(t)
		for i, op := range []engine.Op{engine.Suspend("a"), engine.Resume("a")} {
			b.nextAnswer(func([]byte) []byte { return append(errorMessage("ERROR", code), ready...) })
			results, err := b.engine.Record(t.Context(), op)
			if want := uint64(5 + i); err != nil || results[0].Sequence != want {
				t.Fatalf("a commit with the error %s for an answer: %+v, %v, want sequence %d", code, results, err, want)
			}
		}
		check(t, b.store)
	}
}

func TestAnAcknowledgedTakeoverHasHappenedDespiteLaterErrors(t *testing.T) {
	t.Parallel()
	for name, message := range lateErrors {
		t.Run(name, func(t *testing.T) {
			b := newBroken(t)
			owner := open(t, b.direct, pgstore.Options{Schema: b.schema, Lease: hour})
			begin(t, newEngine(t, owner), "b")
			expire(t, b.direct, b.schema, owner)
			at := locate(t, b.store, store.ByKey("2", "b"))
			b.proxy.armAnswer(afterCommit(message))
			if err := b.store.TakeOver(t.Context(), at); err != nil {
				t.Fatalf("a takeover that was acknowledged: %v", err)
			}
			wantLapsed(t, "after the takeover", b.store)
		})
	}
}

// A trim returns what it has removed, even if an error follows.
func TestAnAcknowledgedTrimHasHappenedDespiteLaterErrors(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	b.store.FeedTransitions(1)
	if _, err := b.engine.Revoke(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := b.engine.Delete(t.Context(), "2", "a"); err != nil {
		t.Fatal(err)
	}
	begin(t, b.engine, "b")
	b.proxy.armAnswer(afterCommit(lateErrors["a statement timeout"]))
	if n, err := b.store.Trim(t.Context()); err != nil || n != 1 {
		t.Errorf("a trim that was acknowledged: %d tasks, %v, want 1", n, err)
	}
	check(t, b.store)
}
