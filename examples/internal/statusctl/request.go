package statusctl

import (
	"fmt"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// request is one parsed line of input. Exactly one of its parts is set.
type request struct {
	ops     []engine.Op
	batch   bool // ops came as a batch, even if there is only one
	status  *statusRequest
	history *store.Ref
}

type statusRequest struct {
	business, task string
	failedFirst    bool
}

// batchError is the error of one operation of a batch.
type batchError struct {
	index int
	err   error
}

func (e *batchError) Error() string { return e.err.Error() }
func (e *batchError) Unwrap() error { return e.err }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{state.ErrInvalidArgument}, args...)...)
}

// parseRequest reads one line. Every error matches state.ErrInvalidArgument;
// nothing of line is kept.
func parseRequest(line []byte) (request, error) {
	if !utf8.Valid(line) {
		return request{}, invalid("the line is not UTF-8")
	}
	f, err := parseForm(line)
	if err != nil {
		return request{}, err
	}
	var req request
	switch f.op {
	case "status":
		req.status = &statusRequest{f.id("biz"), f.id("task"), f.flag("failed_first", false)}
	case "history":
		node := f.ref("node", "key")
		req.history = &node
	case "batch":
		req.batch, req.ops = true, f.batch()
	default:
		req.ops = []engine.Op{f.operation()}
	}
	return req, f.end()
}

// brief is s, cut after a number of characters, because long input should not be
// repeated in full.
func brief(s string, most int) string {
	if runes := []rune(s[:min(len(s), 4*most+4)]); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
