//go:build unix

package runner

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// The output of a program must not decide which programs run.
func TestCommandsCannotSetEnvironmentSettingsOfPrograms(t *testing.T) {
	t.Parallel()
	for name, allowed := range map[string]bool{
		"version": true, "Version": true, "DECLARED": true, "_x": true,
		"PATH": false, "LD_PRELOAD": false, "LD_LIBRARY_PATH": false, "IFS": false, "ENV": false, "BASH_ENV": false, "HOME": false,
		"NODE_OPTIONS": false, "NODE_ID": false, "TASK_ID": false, "RUNNER_COMMAND": false, "PYTHONPATH": false, "GIT_SSH": false,
		"http_proxy": false, "_": false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := newTree("p")
			tree["data"] = object{"inputs": object{"${DECLARED}": object{"value": "x"}}}
			activity(tree, "a", "echo ::set "+name+"=/nowhere")
			activity(tree, "b", "sh -c true && env | grep '^"+name+"=/nowhere'")
			chain(tree, "p_start", "a", "b", "p_end")
			if allowed {
				runTree(t, tree, exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED", "  b FINISHED", "  end FINISHED")
				return
			}
			o := runTree(t, tree, exitFailed, pipelineName+" FAILED", "  start FINISHED", "  a FAILED")
			if !strings.Contains(o.stderr, "::set "+name+": a name that programs take for a setting") {
				t.Error("it does not say why")
			}
		})
	}
}

func TestASubprocessHasSeparateVariables(t *testing.T) {
	t.Parallel()
	inside := newTree("sub")
	inside["data"] = object{
		"inputs":  object{"${given}": object{"value": "default"}, "${kept}": object{"value": "inner"}},
		"outputs": []any{"${made}", "${kept}"},
	}
	activity(inside, "inner", `test "$given $kept ${outer-none}" = "outer value inner none"; echo "::set made=$NODE_ID"; echo ::set secret=1; exit 0`)
	find(inside, "inner")["component"].(object)["inputs"].(object)["extra"] = object{"type": "splice", "value": "<${given}>"}
	activity(inside, "next", `test "$made $secret ${extra-none}" = "inner 1 none"`)
	chain(inside, "sub_start", "inner", "next", "sub_end")
	tree := newTree("p")
	tree["data"] = object{"inputs": object{
		"${outer}": object{"value": "outer value"}, "${kept}": object{"value": "outer"},
		"${made_inside}": object{"source_act": "sub", "source_key": "${made}"},
		"${kept_inside}": object{"source_act": "sub", "source_key": "${kept}"},
		"${last}":        object{"source_act": []any{object{"source_act": "a", "source_key": "x"}, object{"source_act": "b", "source_key": "y"}}},
		"${pass}":        object{"source_act": "b", "source_key": "_loop"},
		"${fine}":        object{"source_act": "b", "source_key": "_result"},
	}}
	activity(tree, "a", "echo ::set x=from a")
	subprocess(tree, "sub", inside)
	find(tree, "sub")["params"] = object{"${given}": object{"type": "splice", "value": "${outer}"}}
	activity(tree, "b", `test "$last $pass" = "from a 1"; echo ::set y=from b`)
	activity(tree, "c", `test "$made_inside $kept_inside $kept ${secret-none} $last $fine" = "inner inner outer none from b True"`)
	chain(tree, "p_start", "a", "sub", "b", "c", "p_end")
	for _, id := range []string{"b", "c"} {
		command := find(tree, id)["component"].(object)["inputs"].(object)["command"].(object)
		command["value"] = "set -e; " + command["value"].(string)
	}
	runTree(t, tree, exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED", "  sub FINISHED",
		"    start FINISHED", "    inner FINISHED", "    next FINISHED", "    end FINISHED",
		"  b FINISHED", "  c FINISHED", "  end FINISHED")
}

// However variables refer to one another, a node fails before they take more
// room than they may.
func TestVariablesThatGrowTooLongFailTheNode(t *testing.T) {
	t.Parallel()
	inputs := object{"${v0}": object{"value": "xxxxxxxxxx"}}
	for i := range 50 {
		inputs[fmt.Sprintf("${v%d}", i+1)] = object{"type": "splice", "value": fmt.Sprintf("${v%[1]d}${v%[1]d}", i)}
	}
	tree := newTree("p")
	tree["data"] = object{"inputs": inputs}
	activity(tree, "a", "true")
	chain(tree, "p_start", "a", "p_end")
	o := runTree(t, tree, exitFailed, pipelineName+" FAILED", "  start FINISHED", "  a FAILED")
	if !strings.Contains(o.stderr, "it becomes longer than 65536 bytes") {
		t.Error("it does not say why")
	}
}

func TestACommandWhoseVariablesGrowTooLongFails(t *testing.T) {
	t.Parallel()
	tree := loopTree(fmt.Sprintf(`v=$(head -c %d /dev/zero | tr '\0' x); for i in 1 2 3 4; do echo "::set v${NODE_LOOP}_$i=$v"; done`, maxValueBytes), "exit_code == 0")
	o := callRunner(t, "-db", filepath.Join(t.TempDir(), "p.db"), write(t, tree))
	if o.code != exitFailed || !strings.Contains(o.stderr, "the variables would be longer than 1048576 bytes") {
		t.Errorf("exit code %d", o.code)
	}
	if a := named(t, o.status, "a"); a.Loop != 4 {
		t.Errorf("it failed in pass %d", a.Loop)
	}
}

// A definition of the web API has no IDs for pipelines, and its variables and
// its activities' inputs elsewhere.
func TestADefinitionOfTheWebAPIRuns(t *testing.T) {
	t.Parallel()
	tree := newTree("p")
	delete(tree, "id")
	delete(tree, "data")
	tree["constants"] = object{
		"${host}": object{"key": "${host}", "custom_type": "input", "source_type": "custom", "value": "web-1", "show_type": "show", "index": 0},
		"${made}": object{"key": "${made}", "custom_type": "", "source_type": "component_outputs", "source_info": object{"a": []any{"x"}}, "value": ""},
	}
	activity(tree, "a", "")
	find(tree, "a")["component"] = object{"code": "shell", "version": "legacy", "data": object{
		"command": object{"hook": false, "need_render": true, "value": "test '${host}' = web-1 && echo ::set x=7"},
	}}
	activity(tree, "b", `test "$made" = 7`)
	chain(tree, "p_start", "a", "b", "p_end")
	runTree(t, tree, exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED", "  b FINISHED", "  end FINISHED")
	tree["constants"].(object)["${when}"] = object{"custom_type": "current_time", "source_type": "custom", "value": ""}
	if o := callRunner(t, write(t, tree)); o.code != exitUsage || !strings.Contains(o.stderr, `constants.${when}: custom_type "current_time"`) {
		t.Errorf("exit code %d", o.code)
	}
}
