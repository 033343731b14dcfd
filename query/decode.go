package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/pipestatus/pipestatus/state"
)

// maxLevels is how many levels of nodes are decoded: far more than a task has.
const maxLevels = 1000

var errTooDeep = errors.New("nested too deeply")

// What is read of responses, also of those that others wrote: names count as
// they are spelled and must not repeat; unknown ones are passed over; null
// stands for the zero value; a state that is not documented is an error.

// UnmarshalJSON reads the documented envelope; unknown fields are passed over.
// An error leaves r as it was.
func (r *Response) UnmarshalJSON(data []byte) error {
	var read Response
	var given bool
	var node json.RawMessage
	err := document(data, func(d *json.Decoder, name string) error {
		switch name {
		case "result":
			given = true
			return d.Decode(&read.Result)
		case "message":
			return d.Decode(&read.Message)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil || name != "data" {
			return err
		}
		node = value
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("query: response: %w", err)
	case isNull(data):
		return nil
	case !given:
		return errors.New("query: response: no result in it")
	case read.Result && (node == nil || isNull(node)):
		return errors.New("query: response: a result without data")
	case read.Result:
		read.Message, read.Data = "", new(Status)
		if err := read.Data.UnmarshalJSON(node); err != nil {
			return err
		}
	}
	*r = read
	return nil
}

// UnmarshalJSON reads a node and all below it, children in the order in which
// they are written and under their own IDs. Unknown fields are passed over. It
// reads up to 1,000 levels. An error leaves s as it was.
func (s *Status) UnmarshalJSON(data []byte) error {
	if isNull(data) {
		return nil
	}
	var read Status
	err := document(data, func(d *json.Decoder, name string) error { return read.field(d, name, 1) })
	if err != nil {
		return fmt.Errorf("query: status: %w", err)
	}
	*s = read
	return nil
}

func isNull(data []byte) bool { return string(bytes.TrimSpace(data)) == "null" }

// document reads data as one object, or null, and nothing behind it.
func document(data []byte, field func(d *json.Decoder, name string) error) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := object(d, func(name string) error { return field(d, name) }); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// read reads a node token by token, since a map would lose the order of the
// children.
func (s *Status) read(d *json.Decoder, level int) error {
	if level > maxLevels {
		return errTooDeep
	}
	there, err := object(d, func(name string) error { return s.field(d, name, level) })
	if err == nil && !there {
		return errors.New("null in place of {")
	}
	return err
}

func (s *Status) children(d *json.Decoder, level int) error {
	_, err := object(d, func(id string) error {
		c := new(Status)
		if err := c.read(d, level+1); err != nil {
			return err
		}
		if c.ID == "" {
			c.ID = id
		}
		if c.ID != id {
			return fmt.Errorf("node %q under the name %q", c.ID, id)
		}
		s.Children = append(s.Children, c)
		return nil
	})
	return err
}

func (s *Status) field(d *json.Decoder, name string, level int) error {
	var text string
	var err error
	switch name {
	case "children":
		return s.children(d, level)
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
		if err = d.Decode(&text); err == nil && text != "" {
			s.State, err = state.ParseState(text)
		}
	default:
		err = s.Extra.field(d, name)
	}
	if err != nil {
		return fmt.Errorf("field %s: %w", name, err)
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
		list := []NodeError{}
		there, err := object(d, func(id string) error {
			e := NodeError{ID: id}
			err := d.Decode(&e.Error)
			list = append(list, e)
			return err
		})
		if there {
			x.ExData = list
		}
		return err
	}
	var unknown json.RawMessage
	return d.Decode(&unknown)
}

func (x *Extra) readCounts(d *json.Decoder) error {
	counts := new(state.Counts)
	there, err := object(d, func(name string) error {
		st, err := state.ParseState(name)
		if err != nil {
			return err
		}
		return d.Decode(&counts[st])
	})
	if there {
		x.Counts = counts
	}
	return err
}

// object reads an object and calls field with the name of each of its fields;
// field reads the value. there is false if it is null instead.
func object(d *json.Decoder, field func(name string) error) (there bool, err error) {
	t, err := d.Token()
	switch {
	case errors.Is(err, io.EOF):
		return false, io.ErrUnexpectedEOF
	case err != nil || t == nil:
		return false, err
	case t != json.Delim('{'):
		return false, fmt.Errorf("%v in place of {", t)
	}
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return true, err
		}
		name, ok := t.(string)
		if !ok {
			return true, fmt.Errorf("%v in place of a name", t)
		}
		if seen[name] {
			return true, fmt.Errorf("%q twice in one object", name)
		}
		seen[name] = true
		if err := field(name); err != nil {
			return true, err
		}
	}
	_, err = d.Token() // the }, for anything else is an error
	return true, err
}
