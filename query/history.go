package query

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Attempt is one execution of a node, as Go values. Its JSON is that of the
// protocol's answers: times in TimeLayout, "" if unset.
type Attempt struct {
	Loop    int
	Retry   int // retries and skips before it
	Skip    bool
	State   state.State // own state
	Version string
	// Started and Finished are zero until it happened.
	Started, Finished time.Time
	Error             string // of the failure, also of one that was ignored
	ErrorIgnored      bool   // not in the JSON
	// Input and Output are nil if the attempt has none, and in values that are
	// made from a tree alone.
	Input, Output *state.Data
	// Current says that the attempt has not been superseded. The JSON has it
	// only if it is true.
	Current bool
}

// MarshalJSON writes {"loop":1,"retry":0,"skip":false,"state":"FAILED",
// "version":"…","start_time":"…","finish_time":"…","error":"…"}, with input and
// output if there are any: if they are JSON (see [state.Data.IsJSON]), unchanged except
// for white space around them, else in base64 under the names input_base64 and
// output_base64. [json.Marshal] also removes white space within them and escapes <, >
// and &, see [Status.MarshalJSON]. Only Input.Bytes and Output.Bytes are exactly what
// was recorded.
func (a Attempt) MarshalJSON() ([]byte, error) {
	dst := strconv.AppendInt([]byte(`{"loop":`), int64(a.Loop), 10)
	dst = strconv.AppendInt(append(dst, `,"retry":`...), int64(a.Retry), 10)
	dst = strconv.AppendBool(append(dst, `,"skip":`...), a.Skip)
	dst = append(append(append(dst, `,"state":"`...), stateName(a.State)...), `","version":`...)
	dst = appendString(dst, a.Version)
	dst = append(appendTime(append(dst, `,"start_time":"`...), a.Started), `","finish_time":"`...)
	dst = append(appendTime(dst, a.Finished), `","error":`...)
	dst = appendString(dst, a.Error)
	dst = appendData(appendData(dst, "input", a.Input), "output", a.Output)
	if a.Current {
		dst = append(dst, `,"current":true`...)
	}
	return append(dst, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes, also with the changes that
// [json.Marshal] makes to it: marshaled again, it is the same JSON. Unknown fields are
// ignored. An input or output that is given both as JSON and in base64 is an error. An
// error leaves a unchanged.
func (a *Attempt) UnmarshalJSON(data []byte) error {
	var wire struct {
		Loop       int
		Retry      int
		Skip       bool
		State      string
		Version    string
		StartTime  string `json:"start_time"`
		FinishTime string `json:"finish_time"`
		Error      string
		Current    bool

		Input        json.RawMessage
		InputBase64  *string `json:"input_base64"`
		Output       json.RawMessage
		OutputBase64 *string `json:"output_base64"`
	}
	read := Attempt{}
	err := json.Unmarshal(data, &wire)
	if err == nil && wire.State != "" {
		read.State, err = state.ParseState(wire.State)
	}
	if err == nil {
		read.Started, err = parseTime(wire.StartTime)
	}
	if err == nil {
		read.Finished, err = parseTime(wire.FinishTime)
	}
	if err == nil {
		read.Input, err = parseData("input", wire.Input, wire.InputBase64)
	}
	if err == nil {
		read.Output, err = parseData("output", wire.Output, wire.OutputBase64)
	}
	if err != nil {
		return fmt.Errorf("query: attempt: %w", err)
	}
	read.Loop, read.Retry, read.Skip, read.Version = wire.Loop, wire.Retry, wire.Skip, wire.Version
	read.Error, read.Current = wire.Error, wire.Current
	*a = read
	return nil
}

func appendData(dst []byte, name string, d *state.Data) []byte {
	b := d.Bytes()
	switch {
	case b == nil:
		return dst
	case d.IsJSON():
		return append(append(append(append(dst, `,"`...), name...), `":`...), bytes.Trim(b, " \t\r\n")...)
	}
	dst = append(append(append(dst, `,"`...), name...), `_base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, b), '"')
}

// parseData reads what appendData writes: one of both forms, or neither.
func parseData(name string, text json.RawMessage, inBase64 *string) (*state.Data, error) {
	switch {
	case inBase64 == nil:
		return state.NewData(text), nil
	case text != nil:
		return nil, fmt.Errorf("%s is given twice", name)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(*inBase64)
	if err != nil {
		return nil, fmt.Errorf("%s_base64: %w", name, err)
	}
	return state.NewData(b), nil
}

// AttemptOf is the current attempt of a node.
func (q *Query) AttemptOf(n *state.Node) Attempt {
	a := q.attempt(&n.Attempt)
	a.Current = true
	return a
}

// History iterates over the superseded attempts of a node, oldest first, as they
// were before the operation that superseded each. The current attempt is not
// among them; [Query.AttemptOf] makes it. Each has its data; what is in memory at a
// time is about [store.DataPage] bytes of it. An error ends the iteration: one that
// matches [state.ErrInvalidArgument] for an invalid ID or key, one that matches
// [state.ErrNotFound] for an unknown node, or the store's.
//
// [store.ByNodeKey] names a node by its key, [store.ByKey] the root of a task, and
// [store.ByNode] a node by its ID, which is unique in the store: a caller that serves a
// single business must check it with [Query.Snapshot] first. For the current attempt
// as well, see [Query.Node].
func (q *Query) History(ctx context.Context, node store.Ref) iter.Seq2[Attempt, error] {
	return func(yield func(Attempt, error) bool) {
		if err := node.Validate(); err != nil {
			yield(Attempt{}, wrap(err))
			return
		}
		for n := 0; ; {
			page, err := q.attempts(ctx, node, n)
			if errors.Is(err, state.ErrNotFound) {
				err = fmt.Errorf("query: %w: %s", state.ErrNotFound, node)
			}
			if err != nil {
				yield(Attempt{}, err)
				return
			}
			for i := range page {
				if page[i].Current || !yield(q.withData(&page[i]), nil) {
					return
				}
			}
			if n += len(page); len(page) == 0 {
				return
			}
		}
	}
}

// attempts reads a page of the attempts of a node with their data.
func (q *Query) attempts(ctx context.Context, node store.Ref, skip int) ([]store.Attempt, error) {
	page, err := q.reader.Attempts(ctx, node, store.AttemptQuery{Skip: skip, Limit: attemptsPage, Data: true})
	if err != nil {
		return nil, wrap(err)
	}
	return page, nil
}

// attemptsPage is how many attempts are read at once: each may have a long error
// text.
const attemptsPage = 64

func (q *Query) withData(from *store.Attempt) Attempt {
	a := q.attempt(&from.Attempt)
	a.Input, a.Output = from.Input, from.Output
	return a
}

func (q *Query) attempt(a *state.Attempt) Attempt {
	return Attempt{
		Loop: a.Loop, Retry: a.Retry(), Skip: a.Skipped, State: a.State, Version: a.Version.String(),
		Started: q.time(a.Started), Finished: q.time(a.Finished), Error: a.Error, ErrorIgnored: a.ErrorIgnored,
	}
}
