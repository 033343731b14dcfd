//go:build unix

package runner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
)

// outcome is the result of a call of the program.
type outcome struct {
	code   int
	status *query.Status // nil if it printed none
	stderr string
}

// call runs the program with signals.
func callWith(t *testing.T, signals <-chan os.Signal, stderr *syncBuffer, args ...string) outcome {
	t.Helper()
	var stdout bytes.Buffer
	o := outcome{code: (&call{signals: signals, stdout: &stdout, stderr: stderr}).invoke(args), stderr: stderr.String()}
	t.Logf("runner %s: exit code %d\n%s", strings.Join(args, " "), o.code, o.stderr)
	o.status = parseResponse(t, stdout.Bytes())
	return o
}

func callRunner(t *testing.T, args ...string) outcome {
	t.Helper()
	return callWith(t, nil, &syncBuffer{}, args...)
}

func parseResponse(t *testing.T, data []byte) *query.Status {
	t.Helper()
	if len(data) == 0 {
		return nil
	}
	var r query.Response
	if err := json.Unmarshal(data, &r); err != nil || !r.Result {
		t.Fatalf("no documented response: %v\n%s", err, data)
	}
	return r.Data
}

// syncBuffer is a buffer that can be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// named returns the node of that name in a status, however deep.
func named(t *testing.T, s *query.Status, name string) *query.Status {
	t.Helper()
	if found := search(s, name); found != nil {
		return found
	}
	t.Fatalf("no node is named %s", name)
	return nil
}

func search(s *query.Status, name string) *query.Status {
	if s.Name == name {
		return s
	}
	for _, c := range s.Children {
		if found := search(c, name); found != nil {
			return found
		}
	}
	return nil
}

// shape is a status as lines, without what differs from run to run and without
// the nodes that are still to come.
func shape(s *query.Status) (lines []string) {
	line := fmt.Sprintf("%s %s", s.Name, s.State)
	if s.Retry > 0 {
		line += fmt.Sprintf(" retry=%d", s.Retry)
	}
	if s.Skip {
		line += " skip"
	}
	if s.Loop > 1 {
		line += fmt.Sprintf(" loop=%d", s.Loop)
	}
	lines = append(lines, line)
	for _, c := range s.Children {
		if c.State == state.Created && c.Retry == 0 && c.Loop == 1 {
			continue
		}
		for _, l := range shape(c) {
			lines = append(lines, "  "+l)
		}
	}
	return lines
}

// runTree runs a tree in a new database and compares the exit code and what
// it shows.
func runTree(t *testing.T, tree object, code int, want ...string) outcome {
	t.Helper()
	o := callRunner(t, "-db", filepath.Join(t.TempDir(), "p.db"), write(t, tree))
	expect(t, o, code, want...)
	return o
}

func expect(t *testing.T, o outcome, code int, want ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code is %d, want %d", o.code, code)
	}
	if o.status == nil {
		t.Fatal("no response was printed")
	}
	if diff := cmp.Diff(want, shape(o.status)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

const pipelineName = "<class 'pipeline.core.pipeline.Pipeline'>"

func TestTheBundledPipelineShowsEverything(t *testing.T) {
	t.Parallel()
	const start, end = "<class 'pipeline.core.flow.event.EmptyStartEvent'>", "<class 'pipeline.core.flow.event.EmptyEndEvent'>"
	expect(t, callRunner(t, "-db", filepath.Join(t.TempDir(), "p.db")), exitFinished,
		"Release FINISHED",
		"  "+start+" FINISHED",
		"  Prepare FINISHED",
		"  <class 'pipeline.core.flow.gateway.ParallelGateway'> FINISHED",
		"  Build FINISHED",
		"    "+start+" FINISHED",
		"    Compile FINISHED",
		"    Test, which fails twice FINISHED retry=2",
		"    "+end+" FINISHED",
		"  Lint, skipped when it fails FINISHED retry=2 skip",
		"  Docs FINISHED",
		"  <class 'pipeline.core.flow.gateway.ConvergeGateway'> FINISHED",
		"  Roll out, a third at a time FINISHED loop=3",
		"  Everywhere? FINISHED loop=3",
		"  "+end+" FINISHED",
	)
}

func TestCommandsSeeVariablesAndTheirOwnAttempt(t *testing.T) {
	t.Parallel()
	tree := newTree("p")
	tree["data"] = object{"inputs": object{"${greeting}": object{"value": "hello"}, "${n}": object{"value": 7}}}
	activity(tree, "a", `echo "::set seen=$greeting $n $TASK_ID $NODE_ID $NODE_LOOP $NODE_RETRY"`)
	activity(tree, "b", `test "$seen" = "hello 7 t1 a 1 0"`)
	chain(tree, "p_start", "a", "b", "p_end")
	o := callRunner(t, "-db", filepath.Join(t.TempDir(), "p.db"), "-task", "t1", write(t, tree))
	expect(t, o, exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED", "  b FINISHED", "  end FINISHED")
}

func TestAnExclusiveGatewayTakesTheTrueConditionOrTheDefault(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{0: "zero", 3: "few", 9: "other"} {
		tree := newTree("p")
		activity(tree, "a", fmt.Sprintf("exit %d", code), "error_ignorable", true)
		gateway(tree, "which", "ExclusiveGateway")
		chain(tree, "p_start", "a", "which")
		for _, id := range []string{"zero", "few", "other"} {
			activity(tree, id, "true")
			chain(tree, id, "p_end")
		}
		connect(tree, "which", "other", "default")
		connect(tree, "which", "zero", "exit_code == 0")
		connect(tree, "which", "few", "exit_code > 0 && ${a.exit_code} < 5")
		lines := []string{pipelineName + " FINISHED", "  start FINISHED", "  a FINISHED", "  which FINISHED"}
		for _, id := range []string{"other", "zero", "few"} {
			line := "  " + id + " FINISHED"
			if id != want {
				line += " retry=1 skip"
			}
			lines = append(lines, line)
		}
		runTree(t, tree, exitFinished, append(lines, "  end FINISHED")...)
	}
}

func TestAConditionalParallelGatewayTakesAllTrueConditions(t *testing.T) {
	t.Parallel()
	tree := newTree("p")
	tree["data"] = object{"inputs": object{"${n}": object{"value": 5}}}
	gateway(tree, "fork", "ConditionalParallelGateway")
	gateway(tree, "join", "ConvergeGateway")
	chain(tree, "p_start", "fork")
	for id, condition := range map[string]string{"a": "${n} > 1", "b": "${n} > 9", "c": "${n} == 5", "d": "default"} {
		activity(tree, id, "true")
		connect(tree, "fork", id, condition)
		chain(tree, id, "join")
	}
	chain(tree, "join", "p_end")
	o := callRunner(t, "-db", filepath.Join(t.TempDir(), "p.db"), write(t, tree))
	if o.code != exitFinished {
		t.Errorf("exit code is %d", o.code)
	}
	for id, skipped := range map[string]bool{"a": false, "b": true, "c": false, "d": true} {
		if n := named(t, o.status, id); n.State != state.Finished || n.Skip != skipped {
			t.Errorf("it went %v", shape(o.status))
		}
	}
}

func TestAGatewayWithoutATrueConditionFails(t *testing.T) {
	t.Parallel()
	tree := parallelTree("ConditionalParallelGateway")
	find(tree, "fork")["conditions"] = object{
		"fork>a": object{"evaluate": "1 == 2"}, "fork>b": object{"evaluate": "1 == 3"},
	}
	o := runTree(t, tree, exitFailed, pipelineName+" FAILED", "  start FINISHED", "  fork FAILED")
	if !strings.Contains(o.stderr, "no condition of gateway fork holds") {
		t.Error("it does not say why")
	}
}

func TestAConvergeGatewayWaitsForEveryBranchTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree := parallelTree("ParallelGateway")
	// Each branch sees that the other one is running at the same time.
	for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}} {
		find(tree, pair[0])["component"].(object)["inputs"].(object)["command"] = object{"value": fmt.Sprintf(
			"touch %[1]s/%[2]s; until [ -e %[1]s/%[3]s ] || ! [ -d %[1]s ]; do sleep 0.01; done", dir, pair[0], pair[1])}
	}
	// A third branch goes straight to the converge gateway.
	chain(tree, "fork", "join")
	o := runTree(t, tree, exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  fork FINISHED",
		"  a FINISHED", "  b FINISHED", "  join FINISHED", "  end FINISHED")
	join := named(t, o.status, "join").Started
	for _, id := range []string{"a", "b"} {
		if named(t, o.status, id).Finished.After(join) {
			t.Errorf("join started before %s finished", id)
		}
	}
}

func TestALoopedSubprocessAndParallelPartRunAgain(t *testing.T) {
	t.Parallel()
	inside := parallelTree("ParallelGateway")
	activity(inside, "once", "true")
	remove(inside, "join", "p_end")
	chain(inside, "join", "once", "p_end")
	tree := newTree("outer")
	subprocess(tree, "sub", inside)
	activity(tree, "count", `echo "::set n=$NODE_LOOP"`)
	gateway(tree, "again", "ExclusiveGateway")
	chain(tree, "outer_start", "sub", "count", "again")
	connect(tree, "again", "sub", "${n} < 2")
	connect(tree, "again", "outer_end", "default")
	runTree(t, tree, exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  sub FINISHED loop=2",
		"    start FINISHED loop=2", "    fork FINISHED loop=2", "    a FINISHED loop=2", "    b FINISHED loop=2",
		"    join FINISHED loop=2", "    once FINISHED loop=2", "    end FINISHED loop=2",
		"  count FINISHED loop=2", "  again FINISHED loop=2", "  end FINISHED")
}

func TestANodeFailsInThePassAfterItsLimit(t *testing.T) {
	t.Parallel()
	tree := loopTree("true", "exit_code == 0")
	find(tree, "a")["max_loops"] = 3
	o := runTree(t, tree, exitFailed, pipelineName+" FAILED", "  start FINISHED", "  a FAILED loop=4", "  again FINISHED loop=3")
	if !strings.Contains(o.stderr, "it exceeds the rerun limit of 3 passes") {
		t.Error("it does not say why")
	}
}

func TestPoliciesForFailures(t *testing.T) {
	t.Parallel()
	tree := newTree("p")
	retry := func(times int) object { return object{"enable": true, "times": times, "interval": 0.01} }
	activity(tree, "retried", `test "$NODE_RETRY" -eq 2`, "auto_retry", retry(2))
	activity(tree, "skipped", "exit 4", "auto_retry", retry(1), "auto_skip", true)
	activity(tree, "ignored", "exit 5", "auto_retry", retry(1), "error_ignorable", true)
	activity(tree, "late", "sleep 60", "timeout", 0.05, "auto_skip", true)
	activity(tree, "check", "true")
	gateway(tree, "codes", "ExclusiveGateway")
	activity(tree, "wrong", "true")
	chain(tree, "p_start", "retried", "skipped", "ignored", "late", "check", "codes")
	connect(tree, "codes", "p_end",
		"${retried.exit_code} == 0 && ${skipped.exit_code} == 4 && ${ignored.exit_code} == 5 && ${late.exit_code} == 124")
	connect(tree, "codes", "wrong", "default")
	chain(tree, "wrong", "p_end")
	runTree(t, tree, exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  retried FINISHED retry=2",
		"  skipped FINISHED retry=2 skip", "  ignored FINISHED retry=1", "  late FINISHED retry=1 skip",
		"  check FINISHED", "  codes FINISHED", "  wrong FINISHED retry=1 skip", "  end FINISHED")
}

func TestOtherBranchesContinueWhenOneFails(t *testing.T) {
	t.Parallel()
	tree := parallelTree("ParallelGateway")
	find(tree, "a")["component"].(object)["inputs"].(object)["command"] = object{"value": "echo broken; exit 7"}
	activity(tree, "after_b", "sleep 0.05")
	remove(tree, "b", "join")
	chain(tree, "b", "after_b", "join")
	o := runTree(t, tree, exitFailed, pipelineName+" FAILED", "  start FINISHED", "  fork FINISHED",
		"  a FAILED", "  b FINISHED", "  after_b FINISHED")
	if !strings.Contains(o.stderr, "a failed:\n  broken\n  exit status 7\n") {
		t.Error("the error is not shown")
	}
}
