//go:build unix

package runner

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

func TestTheRecordHasTheDefinitionInputsAndOutputs(t *testing.T) {
	t.Parallel()
	marker := filepath.Join(t.TempDir(), "flag")
	inside := newTree("sub")
	inside["data"] = object{"inputs": object{"${level}": object{"value": 0}}, "outputs": []any{"${deep}"}}
	activity(inside, "dig", `echo "::set deep=<$level>"`)
	chain(inside, "sub_start", "dig", "sub_end")
	tree := newTree("p")
	tree["data"] = object{"inputs": object{"${found}": object{"source_act": "s", "source_key": "${deep}"}}}
	subprocess(tree, "s", inside)
	find(tree, "s")["params"] = object{"${level}": object{"value": 7}}
	activity(tree, "a", "echo first; echo $color; test -e "+marker+" || { touch "+marker+"; exit 4; }", "auto_retry", object{"enable": true, "times": 1})
	find(tree, "a")["component"].(object)["inputs"].(object)["color"] = object{"value": "red"}
	chain(tree, "p_start", "s", "a", "p_end")
	db, file := filepath.Join(t.TempDir(), "p.db"), write(t, tree)
	if o := callRunner(t, "-db", db, "-task", "1", file); o.code != exitFinished {
		t.Fatalf("exit code %d", o.code)
	}
	s, err := boltstore.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	definition, err := readDefinition(t.Context(), s, (&call{business: "1", task: "1"}).key())
	if err != nil || string(definition) != string(encode(t, tree)) {
		t.Errorf("the task's input is %s, %v", definition, err)
	}
	for node, want := range map[string][]string{
		"s":     {`{"inputs":{"level":"7"}}`, `{"set":{"found":"<7>"}}`},
		"dig":   {``, `{"exit_code":0,"set":{"deep":"<7>"}}`},
		"a":     {`{"inputs":{"color":"red"}}`, `{"exit_code":4,"output":"first\nred"}`, `{"inputs":{"color":"red"}}`, `{"exit_code":0,"output":"first\nred"}`},
		"p_end": {``, ``},
	} {
		d, err := query.New(s, nil).Node(t.Context(), "1", "1", node)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for a, err := range d.Attempts {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(a.Input.Bytes()), string(a.Output.Bytes()))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", node, diff)
		}
	}
}
