package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/pipestatus/pipestatus/state"
)

// maxDepth is how deep a response may be nested to be decoded: far more than
// the levels a task may have.
const maxDepth = 1000

var errTooDeep = errors.New("query: response nested too deeply")

// UnmarshalJSON reads the documented envelope. Unknown fields are passed over.
func (r *Response) UnmarshalJSON(data []byte) error {
	var wire struct {
		Result  bool            `json:"result"`
		Data    json.RawMessage `json:"data"`
		Message string          `json:"message"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return fmt.Errorf("query: response: %w", err)
	}
	*r = Response{Result: wire.Result, Message: wire.Message}
	if !wire.Result {
		return nil
	}
	r.Data = new(Status)
	return r.Data.UnmarshalJSON(wire.Data)
}

// UnmarshalJSON reads a node and all below it, children in the order in which
// they are written. Unknown fields are passed over.
func (s *Status) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	var read Status
	if err := read.read(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("query: status: more than one value")
	}
	*s = read
	return nil
}

// read reads an object token by token, since a map would lose the order.
func (s *Status) read(d *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	return object(d, func(name string) error {
		if name == "children" {
			return object(d, func(id string) error {
				c := new(Status)
				if err := c.read(d, depth+1); err != nil {
					return err
				}
				s.Children = append(s.Children, c)
				return nil
			})
		}
		return s.field(d, name)
	})
}

func (s *Status) field(d *json.Decoder, name string) error {
	var text string
	var err error
	switch name {
	case "id":
		err = d.Decode(&s.ID)
	case "name":
		err = d.Decode(&s.Name)
	case "version":
		err = d.Decode(&s.Version)
	case "retry":
		err = d.Decode(&s.Retry)
	case "loop":
		err = d.Decode(&s.Loop)
	case "skip":
		err = d.Decode(&s.Skip)
	case "start_time":
		err = d.Decode(&s.StartTime)
	case "finish_time":
		err = d.Decode(&s.FinishTime)
	case "state":
		if err = d.Decode(&text); err == nil {
			s.State, err = state.ParseState(text)
		}
	default:
		err = s.Extra.field(d, name)
	}
	if err != nil {
		return fmt.Errorf("query: status field %s: %w", name, err)
	}
	return nil
}

func (x *Extra) field(d *json.Decoder, name string) error {
	switch name {
	case "elapsed_time":
		return d.Decode(&x.ElapsedTime)
	case "error_ignored":
		return d.Decode(&x.ErrorIgnored)
	case "state_refresh_at":
		return d.Decode(&x.StateRefreshAt)
	case "kind":
		return d.Decode(&x.Kind)
	case "revision":
		return d.Decode(&x.Revision)
	case "retry_at":
		return d.Decode(&x.RetryAt)
	case "counts":
		return x.readCounts(d)
	case "ex_data":
		x.ExData = []NodeError{}
		return object(d, func(id string) error {
			e := NodeError{ID: id}
			err := d.Decode(&e.Error)
			x.ExData = append(x.ExData, e)
			return err
		})
	}
	var unknown json.RawMessage
	return d.Decode(&unknown)
}

func (x *Extra) readCounts(d *json.Decoder) error {
	x.Counts = new(state.Counts)
	return object(d, func(name string) error {
		st, err := state.ParseState(name)
		if err != nil {
			return err
		}
		return d.Decode(&x.Counts[st])
	})
}

// object reads an object and calls field with the name of each of its fields;
// field reads the value.
func object(d *json.Decoder, field func(name string) error) error {
	if err := delim(d, '{'); err != nil {
		return err
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("query: status: %w", err)
		}
		name, ok := t.(string)
		if !ok {
			return fmt.Errorf("query: status: %v in place of a field name", t)
		}
		if err := field(name); err != nil {
			return err
		}
	}
	return delim(d, '}')
}

func delim(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err != nil {
		return fmt.Errorf("query: status: %w", err)
	}
	if t != want {
		return fmt.Errorf("query: status: %v in place of %v", t, want)
	}
	return nil
}
