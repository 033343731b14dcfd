package runner

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

func problemsOf(t *testing.T, data []byte) []string {
	t.Helper()
	_, err := parseDefinition(data, false)
	if err == nil {
		return nil
	}
	var invalid *invalidError
	if !errors.As(err, &invalid) || len(invalid.problems) == 0 {
		t.Fatalf("error is %v, want an *invalidError with problems", err)
	}
	return invalid.problems
}

func TestErrorsOfADefinition(t *testing.T) {
	tests := []struct {
		name string
		tree func() object
		want []string // all problems, each a part of one
	}{
		{"nothing", func() object { return parallelTree("ParallelGateway") }, nil},
		{"nothing in a loop", func() object { return loopTree("true", "exit_code == 0") }, nil},
		{"no start event", func() object {
			tree := loopTree("true", "exit_code == 0")
			delete(tree, "start_event")
			return tree
		}, []string{"start_event: is missing", `flows.p_start>a: unknown source "p_start"`}},
		{"unknown target", func() object {
			tree := loopTree("true", "exit_code == 0")
			connect(tree, "again", "nowhere", "exit_code == 1")
			return tree
		}, []string{`flows.again>nowhere: unknown target "nowhere"`}},
		{"unreachable node", func() object {
			tree := loopTree("true", "exit_code == 0")
			activity(tree, "lost", "true")
			chain(tree, "lost", "p_end")
			return tree
		}, []string{"activities.lost: cannot be reached from the start event"}},
		{"problems of every sort", func() object {
			tree := loopTree("", "exit_code = 0")
			activity(tree, "lost", "true", "timeout", -1)
			chain(tree, "lost", "p_end")
			return tree
		}, []string{
			"activities.a: needs a command", "activities.lost: cannot be reached", "activities.lost: timeout",
			"gateways.again: flow again>a: condition",
		}},
		{"way that never ends", func() object {
			tree := loopTree("true", "exit_code == 0")
			activity(tree, "b", "true")
			gateway(tree, "trap", "ExclusiveGateway")
			connect(tree, "again", "b", "exit_code == 1")
			chain(tree, "b", "trap", "b")
			return tree
		}, []string{"activities.b: does not lead to the end event", "gateways.trap: does not lead to the end event"}},
		{"id used twice", func() object {
			tree := loopTree("true", "${a.exit_code} == 0")
			inside := newTree("sub")
			activity(inside, "a", "true")
			chain(inside, "sub_start", "a", "sub_end")
			subprocess(tree, "sub", inside)
			remove(tree, "p_start", "a")
			tree["start_event"].(object)["outgoing"] = ""
			chain(tree, "p_start", "sub", "a")
			return tree
		}, []string{
			"activities.sub.pipeline.activities.a: id a is already that of activities.a",
			`activities.sub.pipeline.flows.a>sub_end: unknown source "a"`,
			`activities.sub.pipeline.flows.sub_start>a: unknown target "a"`,
		}},
		{"key and id differ", func() object {
			tree := loopTree("true", "exit_code == 0")
			tree["flows"].(object)["p_start>a"].(object)["id"] = "other"
			return tree
		}, []string{`flows.p_start>a: has another id, "other"`}},
		{"kind in the wrong place", func() object {
			tree := loopTree("true", "exit_code == 0")
			find(tree, "again")["type"] = "ServiceActivity"
			return tree
		}, []string{`gateways.again: type "ServiceActivity" is not one of those`, "gateways.again: component", "gateways.again: has 2 outgoing flows", "gateways.again: a ServiceActivity has no conditions"}},
		{"component of another engine", func() object {
			tree := loopTree("true", "exit_code == 0")
			find(tree, "a")["component"] = object{"code": "job_fast_execute_script"}
			return tree
		}, []string{`activities.a: component "job_fast_execute_script" cannot be run here`}},
		{"no command", func() object {
			return loopTree(" ", "exit_code == 0")
		}, []string{"activities.a: needs a command"}},
		{"subprocess without pipeline", func() object {
			tree := newTree("p")
			subprocess(tree, "sub", nil)
			chain(tree, "p_start", "sub", "p_end")
			return tree
		}, []string{"activities.sub: a SubProcess needs a pipeline"}},
		{"two flows out of an activity", func() object {
			tree := loopTree("true", "${a.exit_code} == 0")
			connect(tree, "a", "p_end", "")
			return tree
		}, []string{"activities.a: has 2 outgoing flows"}},
		{"lists that disagree with the flows", func() object {
			tree := loopTree("true", "exit_code == 0")
			find(tree, "a")["incoming"] = []any{"again>a", "a>again"}
			return tree
		}, []string{"activities.a: incoming flow a>again leads to", "activities.a: flow p_start>a leads here and is not in incoming"}},
		{"missing condition", func() object {
			tree := loopTree("true", "exit_code == 0")
			delete(find(tree, "again"), "default_condition")
			return tree
		}, []string{"gateways.again: flow again>p_end has no condition and is not the default"}},
		{"condition that does not parse", func() object {
			return loopTree("true", "exit_code = 0")
		}, []string{"gateways.again: flow again>a: condition \"exit_code = 0\": unexpected '='"}},
		{"condition about an unknown activity", func() object {
			return loopTree("true", "${b.exit_code} == 0")
		}, []string{"gateways.again: flow again>a: ${b.exit_code}: there is no such activity"}},
		{"condition of a flow that is not there", func() object {
			tree := loopTree("true", "exit_code == 0")
			find(tree, "again")["conditions"].(object)["x"] = object{"evaluate": "true"}
			return tree
		}, []string{"gateways.again: condition for x, which is no outgoing flow"}},
		{"nothing in a default with a condition", func() object {
			tree := loopTree("true", "exit_code == 0")
			find(tree, "again")["conditions"].(object)["again>p_end"] = object{"evaluate": "true"}
			return tree
		}, nil},
		{"exit_code after a parallel part", func() object {
			tree := parallelTree("ParallelGateway")
			gateway(tree, "which", "ExclusiveGateway")
			remove(tree, "join", "p_end")
			chain(tree, "join", "which")
			connect(tree, "which", "p_end", "exit_code == 0")
			return tree
		}, []string{"gateways.which: flow which>p_end: exit_code of which activity?"}},
		{"cycle without exclusive gateway", func() object {
			tree := parallelTree("ParallelGateway")
			remove(tree, "b", "join")
			chain(tree, "b", "fork")
			return tree
		}, []string{
			"a cycle without exclusive gateway never ends: fork → b → fork",
			"gateways.fork: a converge gateway is missing: its branches meet in a (service_activity)",
		}},
		{"branch that leads back", func() object {
			tree := parallelTree("ParallelGateway")
			gateway(tree, "again", "ExclusiveGateway")
			remove(tree, "b", "join")
			chain(tree, "b", "again")
			connect(tree, "again", "fork", "exit_code == 1")
			connect(tree, "again", "join", "default")
			return tree
		}, []string{"gateways.fork: the branch of flow fork>b leads back to the gateway without passing converge gateway join"}},
		{"cycle without activity", func() object {
			tree := newTree("p")
			gateway(tree, "x", "ExclusiveGateway")
			gateway(tree, "y", "ExclusiveGateway")
			chain(tree, "p_start", "x")
			chain(tree, "x", "y")
			connect(tree, "y", "x", "true")
			connect(tree, "y", "p_end", "default")
			return tree
		}, []string{"a cycle without activity never ends: x → y → x"}},
		{"missing converge gateway", func() object {
			tree := parallelTree("ParallelGateway")
			remove(tree, "a", "join")
			connect(tree, "a", "p_end", "")
			return tree
		}, []string{"gateways.fork: a converge gateway is missing: its branches meet in p_end (end_event)"}},
		{"branches that mingle", func() object {
			tree := parallelTree("ParallelGateway")
			remove(tree, "a", "join")
			chain(tree, "a", "b")
			return tree
		}, []string{"gateways.fork: a converge gateway is missing: its branches meet in b (service_activity)"}},
		{"way into a parallel part", func() object {
			tree := parallelTree("ParallelGateway")
			tree["start_event"].(object)["outgoing"] = ""
			remove(tree, "p_start", "fork")
			gateway(tree, "early", "ExclusiveGateway")
			chain(tree, "p_start", "early")
			connect(tree, "early", "a", "true")
			connect(tree, "early", "fork", "default")
			return tree
		}, []string{"gateways.early: leads to a, into the parallel part of fork"}},
		{"policies that exclude each other", func() object {
			tree := loopTree("true", "exit_code == 0")
			a := find(tree, "a")
			a["retryable"], a["skippable"], a["auto_skip"], a["error_ignorable"] = false, false, true, true
			a["auto_retry"] = object{"enable": true, "times": 2}
			a["timeout"], a["max_loops"] = -1, -1
			return tree
		}, []string{
			"auto_retry of an activity that is not retryable", "auto_skip of an activity that is not skippable",
			"timeout is not between", "max_loops is negative",
		}},
		{"variables", func() object {
			tree := loopTree("true", "exit_code == 0")
			tree["data"] = object{"inputs": object{
				"${ok}": object{"value": 1}, "${no-name}": object{"value": 1}, "${list}": object{"value": []any{1}},
				"${splice}": object{"type": "splice", "value": "${ok}"}, "${none}": object{"value": nil},
				"${nul}": object{"value": "a\x00b"}, "${long}": object{"value": strings.Repeat("x", maxValueBytes+1)},
				"${mako}": object{"type": "splice", "value": "x${ok + 1}"}, "${lazy}": object{"type": "lazy", "value": "x"},
				"${round}": object{"type": "splice", "value": "<${about}>"}, "${about}": object{"type": "splice", "value": "${round}"},
				"${lists}":  object{"type": "splice", "value": []any{"${ok}"}},
				"${from_a}": object{"source_act": "a", "source_key": "x"}, "${from_gateway}": object{"source_act": "again", "source_key": "x"},
				"${inner}": object{"source_act": "a", "source_key": "_inner_loop"}, "${keyless}": object{"source_act": "a"},
			}}
			return tree
		}, []string{
			"${no-name}: a variable is named", "${none}: has no value", "${nul}: its value contains a NUL",
			"${long}: its value is longer", "${mako}: ${ok + 1} is an expression", `${lazy}: type "lazy" is not supported`,
			"variable ${about} refers to itself", "${lists}: a list or an object cannot refer to ${ok}",
			`${from_gateway}: source_act "again" is no activity`, `${inner}: source_key "_inner_loop" is not known`,
			"${keyless}: needs source_act",
		}},
		{"malformed id", func() object {
			tree := loopTree("true", "exit_code == 0")
			tree["id"] = "a\nb"
			return tree
		}, []string{"id: "}},
		{"what cannot be honored", func() object {
			tree := loopTree("true", "exit_code == 0")
			tree["data"] = object{"pre_render_keys": []any{"${x}"}}
			a := find(tree, "a")
			a["timeout"], a["timeout_config"] = 1, object{"enable": true, "seconds": 1, "action": "forced_pause"}
			a["loop_config"] = object{"enable": true, "loop_times": 101}
			a["can_retry"], a["retryable"] = true, false
			a["component"].(object)["inputs"].(object)["no-name"] = object{"value": "x"}
			find(tree, "again")["loop_config"] = object{"enable": true, "loop_times": 2}
			return tree
		}, []string{
			"data.pre_render_keys: is not supported", "timeout and timeout_config together", `timeout_config.action "forced_pause"`,
			"loop_config.loop_times is not between 1 and the limit of 100", "retryable and can_retry differ",
			"component.inputs.no-name: an input is named", "gateways.again: only activities have a loop_config",
		}},
		{"a subprocess of a template", func() object {
			inside := newTree("sub")
			activity(inside, "x", "true")
			chain(inside, "sub_start", "x", "sub_end")
			tree := newTree("p")
			tree["data"] = object{"inputs": object{"${y}": object{"source_act": "sub", "source_key": "${y}"}}}
			subprocess(tree, "sub", inside)
			subprocess(tree, "other", nil)
			find(tree, "other")["template_id"] = 12
			find(tree, "sub")["params"] = object{"${z}": object{"type": "lazy", "value": ""}}
			find(tree, "sub")["constants"] = object{"${z}": object{"value": ""}}
			chain(tree, "p_start", "sub", "other", "p_end")
			return tree
		}, []string{
			"activities.other: a SubProcess needs a pipeline: template_id 12", "source_key ${y} is not in data.outputs of sub",
			`activities.sub.params.${z}: type "lazy"`, "activities.sub: constants of a SubProcess",
		}},
		{"an end event that runs something", func() object {
			tree := loopTree("true", "exit_code == 0")
			tree["end_event"].(object)["type"] = "ExecutableEndEvent"
			return tree
		}, []string{`end_event: type "ExecutableEndEvent"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := problemsOf(t, encode(t, tt.tree()))
			left := slices.Clone(got)
			for _, want := range tt.want {
				i := slices.IndexFunc(left, func(p string) bool { return strings.Contains(p, want) })
				if i < 0 {
					t.Errorf("no problem says %q", want)
					continue
				}
				left = slices.Delete(left, i, i+1)
			}
			if len(left) > 0 {
				t.Errorf("unexpected problems %q", left)
			}
			if t.Failed() {
				t.Logf("problems:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

func TestDeeplyNestedPipelinesAreRefused(t *testing.T) {
	tree := newTree("p0")
	for i := 1; i < maxLevels+5; i++ {
		id := "p" + strings.Repeat("x", i%40) + string(rune('a'+i/40))
		outer := newTree(id)
		subprocess(outer, id+"_sub", tree)
		tree = outer
	}
	if got := strings.Join(problemsOf(t, encode(t, tree)), "\n"); !strings.Contains(got, "more than 99 pipelines inside each other") {
		t.Errorf("problems do not speak of the depth: %.300s", got)
	}
}

func TestTheBundledDefinitionIsValidOnEverySystem(t *testing.T) {
	for _, onWindows := range []bool{false, true} {
		def, err := parseDefinition(bundled, onWindows)
		if err != nil {
			t.Fatal(err)
		}
		test := def.nodes["test"]
		if test.retries != 3 || test.retryDelay != 400*time.Millisecond || test.timeout != 20*time.Second {
			t.Errorf("policy of test is %d times, %s, timeout %s", test.retries, test.retryDelay, test.timeout)
		}
		if got := strings.Contains(line(t, test), "%NODE_RETRY%"); got != onWindows {
			t.Errorf("windows %v runs %q", onWindows, line(t, test))
		}
		if fork := def.nodes["fork"]; fork.opens == nil || fork.opens.converge != def.nodes["join"] {
			t.Error("fork does not meet in join")
		}
		if def.nodes["compile"].region != nil || def.nodes["lint"].region != def.nodes["fork"].opens {
			t.Error("regions reach into other pipelines or not to their own nodes")
		}
	}
}

func TestNestedParallelPartsMayShareAConvergeGateway(t *testing.T) {
	tree := parallelTree("ParallelGateway")
	gateway(tree, "inner", "ParallelGateway")
	activity(tree, "c", "true")
	remove(tree, "b", "join")
	chain(tree, "b", "inner", "c", "join")
	chain(tree, "inner", "join")
	def, err := parseDefinition(encode(t, tree), false)
	if err != nil {
		t.Fatal(err)
	}
	fork, inner, c, join := def.nodes["fork"], def.nodes["inner"], def.nodes["c"], def.nodes["join"]
	if c.region != inner.opens || c.region.outer != fork.opens || inner.region != fork.opens {
		t.Error("the inner part is not inside the outer one")
	}
	if c.joining(join) != fork.opens || inner.joining(join) != fork.opens {
		t.Error("the part that ends at join is not the outer one")
	}
}

func TestKindsOfNodesHaveATypeName(t *testing.T) {
	for k := state.Subprocess; k.Valid(); k++ {
		found := false
		for _, kind := range types {
			found = found || kind == k
		}
		if !found {
			t.Errorf("%s has no type name", k)
		}
	}
}

func FuzzParseDefinition(f *testing.F) {
	f.Add(bundled)
	f.Add([]byte(`{"id":"p","start_event":{"id":"s","type":"EmptyStartEvent","outgoing":"f"},"end_event":{"id":"e","type":"EmptyEndEvent"},"flows":{"f":{"id":"f","source":"s","target":"e"}}}`))
	f.Add([]byte(`{"activities":{"a":null},"gateways":{"g":{"conditions":null}},"flows":{"f":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		def, err := parseDefinition(data, false)
		if (def == nil) == (err == nil) {
			t.Fatalf("definition %v with error %v", def, err)
		}
		if err != nil {
			return
		}
		for id, n := range def.nodes {
			if n.id != id || n.kind != state.EndEvent && len(n.next) == 0 {
				t.Errorf("node %q is accepted with id %q and %d flows", id, n.id, len(n.next))
			}
		}
	})
}

// line is the command of an activity that refers to nothing.
func line(t *testing.T, n *node) string {
	t.Helper()
	text, err := n.command.Render(&scope{results: newResults(), in: n.in}, maxValueBytes)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
