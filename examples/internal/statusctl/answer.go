package statusctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// accepted is the answer to an operation that was recorded.
type accepted struct {
	OK      bool   `json:"ok"`
	Seq     uint64 `json:"seq"`
	Node    string `json:"node"`
	Version string `json:"version"`
	// Did lists the operations that a begin or report recorded, nil for others.
	Did []string `json:"did,omitzero"`
}

// refused is the answer to a refused or failed request.
type refused struct {
	OK    bool   `json:"ok"`
	Code  string `json:"code"`
	Error string `json:"error"`
	// Index is the refused operation of a batch, nil if the refusal is about
	// something else or there was no batch.
	Index *int `json:"index,omitempty"`
}

// codes are the protocol's words for errors. Errors of the store itself come first,
// because they make its answers about tasks meaningless.
var codes = []struct {
	err  error
	code string
}{
	{store.ErrCorrupt, "corrupt"},
	{store.ErrIncompatible, "corrupt"},
	{store.ErrFailed, "failed"},
	{store.ErrUnavailable, "unavailable"},
	{store.ErrClosed, "closed"},
	{store.ErrLocked, "locked"},
	{store.ErrFull, "full"},
	{store.ErrConflict, "conflict"},
	{state.ErrNotFound, "not_found"},
	{state.ErrExists, "exists"},
	{state.ErrInvalidTransition, "invalid_transition"},
	{state.ErrInvalidArgument, "invalid_argument"},
	{state.ErrVersionMismatch, "version_mismatch"},
	{state.ErrNotRetryable, "not_retryable"},
	{state.ErrNotSkippable, "not_skippable"},
	{state.ErrLoopLimit, "loop_limit"},
	{errDamaged, "corrupt"},
	// Trimmed transitions are reported as not found.
	{store.ErrTrimmed, "not_found"},
	{fs.ErrExist, "exists"}, // the target of a copy
	// The file of -db does not exist, or is no database: the argument is wrong.
	{fs.ErrNotExist, "invalid_argument"},
	{errText, "invalid_argument"},
}

// code is the protocol's word for err. An unknown error leaves the outcome open:
// failed.
func code(err error) string {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "failed"
}

// fatal reports whether nothing can be recorded after an answer with this code.
func fatal(code string) bool { return code == "failed" || code == "corrupt" }

func acceptance(results []engine.Result) accepted {
	last := results[len(results)-1]
	a := accepted{OK: true, Seq: last.Sequence, Node: last.Node, Version: last.Version}
	if last.Did != nil {
		a.Did = make([]string, 0, len(last.Did))
	}
	for _, op := range last.Did {
		a.Did = append(a.Did, op.String())
	}
	return a
}

func refusal(err error, batch bool) refused {
	r := refused{Code: code(err), Error: message(err)}
	if batch {
		r.Index = refusedIndex(err)
	}
	return r
}

// message is err without the name of its package.
func message(err error) string { return strings.TrimPrefix(err.Error(), "query: ") }

func refusedIndex(err error) *int {
	var malformed *batchError
	if errors.As(err, &malformed) {
		return &malformed.index
	}
	var op *state.Error
	if errors.As(err, &op) {
		return &op.Index
	}
	return nil
}

// writeLine writes v as one line of JSON in a single call of Write, without
// escaping <, > and &, and safe for terminals. A v of type json.RawMessage is a line
// without its newline.
func writeLine(w io.Writer, v any) error {
	line, ok := v.(json.RawMessage)
	if ok {
		line = append(line, '\n')
	} else {
		var err error
		if line, err = encoded(v); err != nil {
			return err
		}
	}
	_, err := w.Write(terminal.JSON(line))
	return err
}

// encoded is v as a line of JSON without escapes of <, > and &.
func encoded(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// writeEach writes a line with the record of each item.
func writeEach[T, R any](w io.Writer, items []T, record func(*T) R) error {
	for i := range items {
		if err := writeLine(w, record(&items[i])); err != nil {
			return err
		}
	}
	return nil
}
