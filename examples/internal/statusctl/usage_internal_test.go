package statusctl

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// takenNames are the texts in the source that can be names of fields.
func takenNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, file := range []string{"form.go", "operation.go", "request.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range regexp.MustCompile(`"([a-z_]+)"`).FindAllSubmatch(source, -1) {
			names[string(text[1])] = true
		}
	}
	return names
}

// takes reports whether an operation takes a field, alone or together with the
// fields for a task, a parent and a kind.
func takes(op, name string) bool {
	for _, others := range [][]string{{}, {"biz", "task"}, {"parent", "kind"}, {"biz", "task", "kind"}} {
		fields := map[string]any{"op": op}
		for _, other := range others {
			fields[other] = "x"
		}
		_, given := fields[name]
		if !given {
			fields[name] = "x"
		}
		line, _ := json.Marshal(fields)
		if f, err := parseForm(line); err == nil && !f.left(name) {
			return true
		}
	}
	return false
}

// left reports whether the operation of the form does not take a field.
func (f *form) left(name string) bool {
	switch f.op {
	case "status":
		f.id("biz")
		f.id("task")
		f.flag("failed_first", false)
	case "history":
		f.id("node")
	case "batch":
		f.batch()
	default:
		f.operation()
	}
	_, left := f.fields[name]
	return left
}

func TestTheHelpOfApplyListsTheFieldsOfEachOperation(t *testing.T) {
	_, text, _ := strings.Cut(applyCommand.detail, "no others:\n\n")
	text, rest, _ := strings.Cut(text, "\n\n")
	told := make(map[string][]string)
	var op string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if line[2] != ' ' {
			op, words = words[0], words[1:]
		}
		told[op] = append(told[op], words...)
	}
	for op, fields := range told {
		switch op {
		case "batch", "status", "history":
		case "begin", "report":
			told[op] = append(fields, "at", "actor")
		default:
			told[op] = append(fields, "at", "actor", "idempotent")
		}
		if slices.Contains(fields, "node") && op != "history" {
			told[op] = append(told[op], "biz", "task", "key")
		}
		if slices.Contains(fields, "parent") {
			told[op] = append(told[op], "biz", "task", "parent_key")
		}
	}
	if !strings.Contains(rest, "parent_key") {
		t.Error("nothing is said of parent_key")
	}
	names := takenNames(t)
	for op, fields := range told {
		for name := range names {
			if name == "op" {
				continue
			}
			if got, want := takes(op, name), slices.Contains(fields, name); got != want {
				t.Errorf("%s takes %s: %t, the help says %t", op, name, got, want)
			}
		}
	}
	for _, name := range []string{"create", "declare", "label", "begin", "report", "batch", "status", "history"} {
		if told[name] == nil {
			t.Errorf("the help does not tell of %s", name)
		}
	}
}
