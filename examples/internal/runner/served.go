package runner

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/pipestatus/pipestatus/state"
)

// served is what is served beside the record: the definitions of tasks.
type served struct {
	task state.Key // the one that runs
	def  *definition
	log  Log
}

// definition is what a task began with, with the IDs under which its nodes are
// recorded; nil if no runner began it. It may be called from many goroutines.
func (s *served) definition(ctx context.Context, business, task string) (json.RawMessage, error) {
	key, def := state.Key{Business: business, Task: task}, s.def
	if key != s.task {
		res, err := readResults(ctx, s.log, key)
		if err != nil || res.definition == nil {
			return nil, err
		}
		if def, err = parseDefinition(res.definition, windows); err != nil {
			return nil, err
		}
	}
	return def.recorded(key)
}

// recorded is the definition with the IDs under which a task records its nodes.
func (d *definition) recorded(task state.Key) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(d.source))
	decoder.UseNumber()
	var tree map[string]any
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	tree["id"] = d.root.id
	known := map[string]bool{d.root.id: true}
	for id := range d.nodes {
		known[id] = true
	}
	rename(tree, "", func(id string) string {
		if !known[id] {
			return id
		}
		return nodeID(task, id)
	})
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(tree); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// rename gives the nodes in a value of a definition, which has a name there,
// other IDs. What is the user's own, such as the inputs of commands, stays.
func rename(v any, name string, to func(id string) string) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			rename(element, name, to)
		}
	case map[string]any:
		for key, value := range v {
			switch key {
			case "component", "params", "value", "conditions", "default_condition":
				continue
			}
			id, isText := value.(string)
			switch key {
			case "source", "target", "source_act":
				if isText {
					v[key] = to(id)
				}
			case "id":
				if isText && name != "flows" {
					v[key] = to(id)
				}
			case "activities", "gateways", "source_info":
				if nodes, ok := value.(map[string]any); ok {
					v[key] = renameKeys(nodes, to)
				}
			}
			below := key
			if name == "flows" {
				below = name
			}
			rename(v[key], below, to)
		}
	}
}

func renameKeys(nodes map[string]any, to func(id string) string) map[string]any {
	renamed := make(map[string]any, len(nodes))
	for id, node := range nodes {
		renamed[to(id)] = node
	}
	return renamed
}
