package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// document is a pipeline as a file has it.
type document struct {
	ID         string              `json:"id"`
	Name       string              `json:"name"`
	StartEvent *element            `json:"start_event"`
	EndEvent   *element            `json:"end_event"`
	Activities map[string]*element `json:"activities"`
	Gateways   map[string]*element `json:"gateways"`
	Flows      map[string]*flow    `json:"flows"`
	Data       struct {
		Inputs map[string]input `json:"inputs"`
	} `json:"data"`
}

// element is an event, an activity or a gateway.
type element struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Incoming flowIDs `json:"incoming"`
	Outgoing flowIDs `json:"outgoing"`
	MaxLoops int     `json:"max_loops"`

	Component struct {
		Code   string           `json:"code"`
		Inputs map[string]input `json:"inputs"`
	} `json:"component"`
	Timeout        float64 `json:"timeout"`
	ErrorIgnorable bool    `json:"error_ignorable"`
	Retryable      *bool   `json:"retryable"`
	Skippable      *bool   `json:"skippable"`
	AutoSkip       bool    `json:"auto_skip"`
	AutoRetry      struct {
		Enable   bool    `json:"enable"`
		Times    int     `json:"times"`
		Interval float64 `json:"interval"`
	} `json:"auto_retry"`

	Pipeline *document `json:"pipeline"`

	Conditions map[string]struct {
		Evaluate string `json:"evaluate"`
	} `json:"conditions"`
	DefaultCondition struct {
		FlowID string `json:"flow_id"`
	} `json:"default_condition"`
}

type flow struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Target string `json:"target"`
}

// input is the value of a variable or of a component's input.
type input struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// flowIDs are written as one string, as a list, or as "" or null for none.
type flowIDs []string

// UnmarshalJSON reads any of the ways they are written.
func (f *flowIDs) UnmarshalJSON(data []byte) error {
	var one string
	if err := json.Unmarshal(data, &one); err == nil {
		if *f = nil; one != "" {
			*f = flowIDs{one}
		}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return errors.New("incoming or outgoing is neither the ID of a flow nor a list of them")
	}
	*f = list
	return nil
}

// text is the input as text; ok is false if it is no plain scalar.
func (in input) text() (s string, ok bool) {
	if in.Type != "" && in.Type != "plain" {
		return "", false
	}
	switch v := in.Value.(type) {
	case string:
		return v, true
	case bool, json.Number:
		return fmt.Sprint(v), true
	}
	return "", false
}

// readDocument reads a document. Its error says where the JSON is malformed.
func readDocument(data []byte) (*document, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var doc document
	if err := d.Decode(&doc); err != nil {
		return nil, locate(data, d.InputOffset(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, locate(data, d.InputOffset(), errors.New("something follows the definition"))
	}
	return &doc, nil
}

// locate adds the line to an error about JSON.
func locate(data []byte, offset int64, err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &typ):
		offset = typ.Offset
		err = fmt.Errorf("%s is a JSON %s", typ.Field, typ.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		offset, err = int64(len(data)), errors.New("the JSON is not complete")
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n")), err)
}

// repeatedKeys returns the paths of keys that an object of a JSON text has
// twice, of which decoding would keep the last without a word.
func repeatedKeys(data []byte) (paths []string) {
	type level struct {
		keys map[string]bool // nil for an array
		key  string
		want bool // the next string is a key
	}
	var levels []*level
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return paths
		}
		top := &level{}
		if len(levels) > 0 {
			top = levels[len(levels)-1]
		}
		if key, ok := token.(string); ok && top.want {
			if top.want, top.key = false, key; top.keys[key] {
				path := make([]string, len(levels))
				for i, l := range levels {
					path[i] = l.key
				}
				paths = append(paths, strings.Join(path, "."))
			}
			top.keys[key] = true
			continue
		}
		top.want = top.keys != nil
		switch token {
		case json.Delim('{'):
			levels = append(levels, &level{keys: map[string]bool{}, want: true})
		case json.Delim('['):
			levels = append(levels, &level{})
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
		}
	}
}
