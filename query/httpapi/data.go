package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/query/strictjson"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// nodeData is the data of an attempt in get_task_node_data and get_task_node_detail.
type nodeData struct {
	// Inputs is the input if that is an object. Another value is in it under the
	// name input, and what is not JSON under input_base64.
	Inputs any `json:"inputs"`
	// Outputs are the fields of the output if that is an object, in the order of
	// their keys, or the output if that is a list. Another value is one output.
	Outputs any `json:"outputs"`
}

// output is one value of an output.
type output struct {
	Key   string `json:"key"`
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// dataFields bounds the fields of an output that are told apart.
const dataFields = 10_000

func dataOf(in, out *state.Data) nodeData {
	return nodeData{inputsOf(in), outputsOf(out)}
}

func inputsOf(d *state.Data) any {
	b := d.Bytes()
	switch {
	case b == nil:
		return struct{}{}
	case !d.IsJSON():
		return map[string]string{"input_base64": base64.StdEncoding.EncodeToString(b)}
	case opening(b) == '{':
		return json.RawMessage(b)
	}
	return map[string]json.RawMessage{"input": b}
}

func outputsOf(d *state.Data) any {
	b := d.Bytes()
	switch {
	case b == nil:
		return []output{}
	case !d.IsJSON():
		return []output{{"output_base64", "output_base64", base64.StdEncoding.EncodeToString(b)}}
	case opening(b) == '[':
		return json.RawMessage(b)
	}
	fields, err := strictjson.Fields(b, dataFields)
	if err != nil {
		return []output{{"output", "output", json.RawMessage(b)}}
	}
	list := make([]output, 0, len(fields))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		list = append(list, output{key, key, fields[key]})
	}
	return list
}

// opening is the first byte of valid JSON that is no space.
func opening(b []byte) byte {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}

// recorded is the data of an attempt unchanged: as text, or in base64 if
// it is no text. Fields are absent where there is no data.
type recorded struct {
	Input        string `json:"input,omitempty"`
	InputBase64  string `json:"input_base64,omitempty"`
	Output       string `json:"output,omitempty"`
	OutputBase64 string `json:"output_base64,omitempty"`
}

func recordedOf(in, out *state.Data) *recorded {
	r := new(recorded)
	r.Input, r.InputBase64 = textOf(in.Bytes())
	r.Output, r.OutputBase64 = textOf(out.Bytes())
	return r
}

func textOf(b []byte) (text, inBase64 string) {
	if utf8.Valid(b) {
		return string(b), ""
	}
	return "", base64.StdEncoding.EncodeToString(b)
}

// data is that of an attempt of a node, by its number. The node is not found if
// its task was deleted since it was read.
func (x *exchange) data(tree *state.Tree, node *state.Node, a *state.Attempt) (in, out *state.Data, err error) {
	in, out, err = store.AttemptData(x.r.Context(), x.h.reader, store.ByNode(node.ID), a.Number())
	return in, out, x.still(tree, node.ID, err)
}

// dataFactor is how often data is in memory while it is sent: as read, and
// in the buffers in which it becomes JSON, which grow by doubling.
const dataFactor = 8

// dataSizes are those of the inputs and outputs of some attempts.
type dataSizes struct{ all, largest int64 }

func (s *dataSizes) add(page []store.Attempt) {
	for i := range page {
		size := dataSize(page[i].Input) + dataSize(page[i].Output)
		s.all, s.largest = s.all+size, max(s.largest, size)
	}
}

// bytes is the memory that an answer with this data needs. One page of the data is in
// memory at a time.
func (s *dataSizes) bytes() int64 { return min(s.all, store.DataPage) + dataFactor*s.largest }

func dataSize(d *state.Data) int64 {
	if d == nil {
		return 0
	}
	return int64(d.Size())
}

// dataBytes is the memory for all inputs and outputs of a node in an answer.
func (x *exchange) dataBytes(node string) (int64, error) {
	var sizes dataSizes
	for n := 0; ; {
		page, err := x.h.reader.Attempts(x.r.Context(), store.ByNode(node), store.AttemptQuery{Skip: n})
		if err != nil || len(page) == 0 {
			return sizes.bytes(), err
		}
		sizes.add(page)
		n += len(page)
	}
}

// nodeAndLoop is the node that the parameters name, and the loop of an attempt of
// it, 0 for the current one. snap has a tree if the task was found.
func (x *exchange) nodeAndLoop() (snap store.Snapshot, node state.Node, loop int, err error) {
	x.params.scope()
	loop = x.params.number("loop", 0, loopMost)
	snap, node, err = x.node()
	return snap, node, loop, err
}

// nodeValues is get_task_node_data.
func (h *Handler) nodeValues(x *exchange) error {
	snap, node, loop, err := x.nodeAndLoop()
	if err != nil {
		return err
	}
	last := &node.Attempt
	if loop != 0 && loop != node.Loop {
		if last, err = x.lastOf(&snap, &node, loop); err != nil {
			return err
		}
	}
	in, out, err := x.data(snap.Tree, &node, last)
	if err != nil {
		return err
	}
	return x.respond("", func(s *sink) error {
		s.value(struct {
			nodeData
			ExData string `json:"ex_data"`
		}{dataOf(in, out), last.Error})
		return s.err
	})
}

// inputBytes is the memory for the input of a task in an answer.
func (x *exchange) inputBytes(trees []*state.Tree) (int64, error) {
	key := trees[0].Key()
	page, err := x.h.reader.Attempts(x.r.Context(), store.ByKey(key.Business, key.Task), store.AttemptQuery{Limit: 1})
	if err != nil || len(page) == 0 {
		return 0, err
	}
	return dataFactor * dataSize(page[0].Input), nil
}

// taskInput is the input of a task, nil if it is not JSON.
func (h *Handler) taskInput(x *exchange) (json.RawMessage, error) {
	in, _, err := store.AttemptData(x.r.Context(), h.reader, store.ByKey(x.business, x.task), 1)
	if err != nil || !in.IsJSON() {
		return nil, err
	}
	return in.Bytes(), nil
}
