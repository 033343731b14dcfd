package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
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
		Inputs        map[string]input `json:"inputs"`
		Outputs       keys             `json:"outputs"`
		PreRenderKeys keys             `json:"pre_render_keys"`
	} `json:"data"`

	// The web API has these instead of data.
	Constants map[string]constant `json:"constants"`
	Outputs   keys                `json:"outputs"`
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
		Data   map[string]input `json:"data"` // in the web API
	} `json:"component"`
	Timeout       float64 `json:"timeout"`
	TimeoutConfig struct {
		Enable  bool    `json:"enable"`
		Seconds float64 `json:"seconds"`
		Action  string  `json:"action"`
	} `json:"timeout_config"`
	LoopConfig struct {
		Enable    bool  `json:"enable"`
		Times     int   `json:"loop_times"`
		FailSkip  bool  `json:"fail_skip"`
		Retryable *bool `json:"retryable"`
		Skippable *bool `json:"skippable"`
	} `json:"loop_config"`
	ErrorIgnorable bool  `json:"error_ignorable"`
	Retryable      *bool `json:"retryable"`
	Skippable      *bool `json:"skippable"`
	CanRetry       *bool `json:"can_retry"` // an older name of retryable
	IsSkipped      *bool `json:"isSkipped"` // and of skippable
	AutoSkip       bool  `json:"auto_skip"`
	AutoRetry      struct {
		Enable   bool    `json:"enable"`
		Times    int     `json:"times"`
		Interval float64 `json:"interval"`
	} `json:"auto_retry"`

	Pipeline   *document           `json:"pipeline"`
	Params     map[string]input    `json:"params"`
	TemplateID any                 `json:"template_id"` // only in the web API
	Constants  map[string]constant `json:"constants"`   // only in the web API

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

// input is a variable, or an input of a component or a subprocess.
type input struct {
	Type       string `json:"type"`
	Value      any    `json:"value"`
	NeedRender *bool  `json:"need_render"`
	SourceAct  any    `json:"source_act"` // an ID, or a list of objects with both
	SourceKey  string `json:"source_key"`
}

// constant is a variable as the web API has it.
type constant struct {
	input
	CustomType string              `json:"custom_type"`
	SourceType string              `json:"source_type"`
	SourceInfo map[string][]string `json:"source_info"`
}

// keys is a list, or the keys of an object, or nothing.
type keys []string

// UnmarshalJSON reads any of the ways it is written.
func (k *keys) UnmarshalJSON(data []byte) error {
	var keyed map[string]any
	if err := json.Unmarshal(data, &keyed); err == nil {
		*k = slices.Sorted(maps.Keys(keyed))
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return errors.New("outputs or pre_render_keys is neither a list of keys nor an object")
	}
	*k = list
	return nil
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

// repeatedKeys returns the paths of keys that an object of a valid JSON text has
// twice, of which decoding would keep the last without a word.
func repeatedKeys(data []byte) (paths []string) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var walk func(path string)
	walk = func(path string) {
		begin, _ := d.Token()
		if begin != json.Delim('{') && begin != json.Delim('[') {
			return
		}
		seen := map[string]bool{}
		for d.More() {
			at := path
			if begin == json.Delim('{') {
				key, _ := d.Token()
				if at = join(path, fmt.Sprint(key)); seen[at] {
					paths = append(paths, at)
				}
				seen[at] = true
			}
			walk(at)
		}
		_, _ = d.Token() // the end
	}
	walk("")
	return paths
}
