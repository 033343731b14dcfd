package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pipestatus/pipestatus/query/strictjson"
	"github.com/pipestatus/pipestatus/state"
)

// maxLevels is how many levels of nodes are decoded: far more than a task has.
const maxLevels = 1000

var errTooDeep = errors.New("nested too deeply")

// Rules for reading responses, including those of other servers: field names are
// case-sensitive and must not repeat; unknown fields are ignored; null stands for
// the zero value; an undocumented state is an error.

// UnmarshalJSON reads the documented envelope; unknown fields are ignored.
// An error leaves r unchanged.
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
// they are written and under their own IDs. Unknown fields are ignored. It
// reads up to 1,000 levels. An error leaves s unchanged.
func (s *Status) UnmarshalJSON(data []byte) error {
	if isNull(data) {
		return nil
	}
	n := nodeReader{level: 1}
	if err := document(data, n.field); err != nil {
		return fmt.Errorf("query: status: %w", err)
	}
	n.fail(&n.Status)
	*s = n.Status
	return nil
}

func isNull(data []byte) bool { return string(bytes.TrimSpace(data)) == "null" }

// document reads data as one object, or null, and nothing behind it.
func document(data []byte, field func(d *json.Decoder, name string) error) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := strictjson.Object(d, func(name string) error { return field(d, name) }); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// nodeReader reads a node token by token, since a map would lose the order of
// the children.
type nodeReader struct {
	Status
	level  int
	failed map[string]string // errors of ex_data by node ID
}

func (n *nodeReader) read(d *json.Decoder) error {
	if n.level > maxLevels {
		return errTooDeep
	}
	there, err := strictjson.Object(d, func(name string) error { return n.field(d, name) })
	if err == nil && !there {
		return errors.New("null instead of {")
	}
	n.fail(&n.Status)
	return err
}

// fail gives the nodes in s the errors of ex_data, which can come before them.
func (n *nodeReader) fail(s *Status) {
	if len(n.failed) == 0 {
		return
	}
	if text, ok := n.failed[s.ID]; ok {
		s.OwnState, s.Error = state.Failed, text
		delete(n.failed, s.ID)
	}
	for _, c := range s.Children {
		n.fail(c)
	}
}

func (n *nodeReader) children(d *json.Decoder) error {
	_, err := strictjson.Object(d, func(id string) error {
		c := nodeReader{level: n.level + 1}
		c.ID = id
		if err := c.read(d); err != nil {
			return err
		}
		if c.ID == "" {
			c.ID = id
		}
		if c.ID != id {
			return fmt.Errorf("node %q under the name %q", c.ID, id)
		}
		n.Children = append(n.Children, &c.Status)
		return nil
	})
	return err
}

func (n *nodeReader) field(d *json.Decoder, name string) error {
	s := &n.Status
	var text string
	var err error
	switch name {
	case "children":
		return n.children(d)
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
		err = readTime(d, &s.Started)
	case "finish_time":
		err = readTime(d, &s.Finished)
	case "state":
		if err = d.Decode(&text); err == nil && text != "" {
			s.State, err = state.ParseState(text)
		}
	default:
		err = n.extra(d, name)
	}
	if err != nil {
		return fmt.Errorf("field %s: %w", name, err)
	}
	return nil
}

// extra reads a field beyond the documented ones and notes that it was there.
func (n *nodeReader) extra(d *json.Decoder, name string) error {
	s := &n.Status
	var value json.RawMessage
	if err := d.Decode(&value); err != nil || isNull(value) {
		return err
	}
	d = json.NewDecoder(bytes.NewReader(value))
	var field Fields
	var err error
	switch name {
	case "elapsed_time":
		field = FieldElapsedTime
		var whole int64
		err = d.Decode(&whole)
		s.Elapsed = wholeSeconds(whole)
	case "error_ignored":
		field, err = FieldErrorIgnored, d.Decode(&s.ErrorIgnored)
	case "error_ignorable":
		var ignored bool
		field, err = FieldErrorIgnorable, d.Decode(&ignored)
		s.ErrorIgnored = s.ErrorIgnored || ignored
	case "state_refresh_at":
		field, err = FieldStateRefreshAt, readTime(d, &s.Updated)
	case "retry_at":
		field, err = FieldRetryAt, readTime(d, &s.RetryAt)
	case "revision":
		field, err = FieldRevision, d.Decode(&s.Revision)
	case "key":
		field, err = FieldKey, d.Decode(&s.Key)
	case "after":
		field, err = FieldEdges, d.Decode(&s.After)
		if len(s.After) == 0 {
			s.After = nil
		}
	case "from":
		field, err = FieldEdges, d.Decode(&s.From)
	case "note":
		field, err = FieldNote, d.Decode(&s.Note)
	case "labels":
		field = FieldLabels
		_, err = strictjson.Object(d, func(name string) error {
			var text string
			err := d.Decode(&text)
			if s.Labels == nil {
				s.Labels = make(map[string]string)
			}
			s.Labels[name] = text
			return err
		})
	case "kind":
		var text string
		if err = d.Decode(&text); err == nil {
			if k, unknown := state.ParseKind(text); unknown == nil {
				field, s.Kind = FieldKind, k
			}
		}
	case "counts":
		field = FieldCounts
		_, err = strictjson.Object(d, func(name string) error {
			st, err := state.ParseState(name)
			if err != nil {
				return err
			}
			return d.Decode(&s.Counts[st])
		})
	case "ex_data":
		field, n.failed = FieldExData, make(map[string]string)
		_, err = strictjson.Object(d, func(id string) error {
			var text string
			err := d.Decode(&text)
			n.failed[id] = text
			return err
		})
	}
	s.Fields |= field
	return err
}

func readTime(d *json.Decoder, t *time.Time) error {
	var text string
	if err := d.Decode(&text); err != nil {
		return err
	}
	var err error
	*t, err = parseTime(text)
	return err
}
