package runner

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// object is a JSON object that a test builds and breaks.
type object = map[string]any

// newTree is a pipeline with a start and an end event and no way between.
func newTree(id string) object {
	return object{
		"id":          id,
		"start_event": object{"id": id + "_start", "name": "start", "type": "EmptyStartEvent", "incoming": "", "outgoing": ""},
		"end_event":   object{"id": id + "_end", "name": "end", "type": "EmptyEndEvent", "incoming": []any{}, "outgoing": ""},
		"activities":  object{}, "gateways": object{}, "flows": object{},
	}
}

// activity adds a service activity, with more fields in pairs.
func activity(tree object, id, command string, fields ...any) object {
	return addTo(tree, "activities", object{
		"id": id, "name": id, "type": "ServiceActivity",
		"component": object{"code": "shell", "inputs": object{"command": object{"type": "plain", "value": command}}},
	}, fields)
}

func subprocess(tree object, id string, pipeline object, fields ...any) object {
	return addTo(tree, "activities", object{"id": id, "name": id, "type": "SubProcess", "pipeline": pipeline}, fields)
}

func gateway(tree object, id, typ string, fields ...any) object {
	return addTo(tree, "gateways", object{"id": id, "name": id, "type": typ}, fields)
}

func addTo(tree object, section string, e object, fields []any) object {
	for i := 0; i < len(fields); i += 2 {
		e[fields[i].(string)] = fields[i+1]
	}
	e["incoming"], e["outgoing"] = []any{}, []any{}
	tree[section].(object)[e["id"].(string)] = e
	return e
}

// chain adds flows from each node to the next.
func chain(tree object, ids ...string) {
	for i := range len(ids) - 1 {
		connect(tree, ids[i], ids[i+1], "")
	}
}

// setCommand gives an activity another command.
func setCommand(tree object, id, command string) {
	find(tree, id)["component"].(object)["inputs"].(object)["command"] = object{"value": command}
}

// connect adds a flow, with a condition, "default" or "" for none.
func connect(tree object, from, to, condition string) {
	id := from + ">" + to
	tree["flows"].(object)[id] = object{"id": id, "source": from, "target": to, "is_default": false}
	if source := find(tree, from); source != nil {
		if list, ok := source["outgoing"].([]any); ok {
			source["outgoing"] = append(list, id)
		} else {
			source["outgoing"] = id
		}
		switch condition {
		case "":
		case "default":
			source["default_condition"] = object{"flow_id": id}
		default:
			if source["conditions"] == nil {
				source["conditions"] = object{}
			}
			source["conditions"].(object)[id] = object{"evaluate": condition}
		}
	}
	if target := find(tree, to); target != nil {
		if list, ok := target["incoming"].([]any); ok {
			target["incoming"] = append(list, id)
		}
	}
}

// find finds a node of a tree by its ID, not looking into subprocesses.
func find(tree object, id string) object {
	for _, section := range []string{"activities", "gateways"} {
		if e, ok := tree[section].(object)[id]; ok {
			return e.(object)
		}
	}
	for _, event := range []string{"start_event", "end_event"} {
		if e := tree[event].(object); e["id"] == id {
			return e
		}
	}
	return nil
}

func encode(t *testing.T, tree object) []byte {
	t.Helper()
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// write writes a tree to a new file.
func write(t *testing.T, tree object) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipeline.json")
	if err := os.WriteFile(path, encode(t, tree), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// parallelTree is start > fork > a, b > join > end.
func parallelTree(forkType string) object {
	tree := newTree("p")
	gateway(tree, "fork", forkType)
	activity(tree, "a", "true")
	activity(tree, "b", "true")
	gateway(tree, "join", "ConvergeGateway")
	chain(tree, "p_start", "fork", "a", "join", "p_end")
	chain(tree, "fork", "b", "join")
	return tree
}

// loopTree is start > a > again? > a or end.
func loopTree(command, condition string) object {
	tree := newTree("p")
	activity(tree, "a", command)
	gateway(tree, "again", "ExclusiveGateway")
	chain(tree, "p_start", "a", "again")
	connect(tree, "again", "a", condition)
	connect(tree, "again", "p_end", "default")
	return tree
}

// remove takes a flow out of the lists of the nodes it connects.
func remove(tree object, from, to string) {
	id := from + ">" + to
	delete(tree["flows"].(object), id)
	for _, n := range []object{find(tree, from), find(tree, to)} {
		for _, list := range []string{"incoming", "outgoing"} {
			if ids, ok := n[list].([]any); ok {
				n[list] = slices.DeleteFunc(ids, func(x any) bool { return x == id })
			}
		}
	}
}
