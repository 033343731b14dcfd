//go:build unix

package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
)

func TestAFailedNodeIsRetriedOverHTTPAndThePipelineContinues(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "ok")
	tree := newTree("p")
	activity(tree, "a", "test -e "+marker)
	activity(tree, "b", "true")
	chain(tree, "p_start", "a", "b", "p_end")
	r := operated(t, tree)
	r.becomes("a", state.Failed)
	r.refuses("a", httpapi.Resume, "invalid transition")
	r.refuses("", httpapi.Resume, "invalid transition")
	r.do("a", httpapi.Retry)
	eventually(t, "it fails again", func() bool { a := named(t, r.status(), "a"); return a.State == state.Failed && a.Retry == 1 })
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.do("a", httpapi.Retry)
	r.becomes("end", state.Finished)
	for _, action := range []httpapi.Action{httpapi.Pause, httpapi.Resume, httpapi.Revoke} {
		r.refuses("", action, "is FINISHED: nothing can be done to it any more")
	}
	r.refuses("a", httpapi.Retry, "is FINISHED: nothing can be done to it any more")
	r.ends(exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED retry=2", "  b FINISHED", "  end FINISHED")
}

func TestAFailedNodeIsSkippedIfItsSuccessorsAreKnown(t *testing.T) {
	tree := newTree("p")
	activity(tree, "a", "exit 3")
	activity(tree, "b", "true")
	gateway(tree, "which", "ExclusiveGateway")
	chain(tree, "p_start", "a", "which")
	connect(tree, "which", "b", "exit_code == 4")
	connect(tree, "which", "p_end", "exit_code == 5")
	chain(tree, "b", "p_end")
	r := operated(t, tree)
	r.becomes("a", state.Failed)
	r.do("a", httpapi.Skip)
	r.becomes("which", state.Failed)
	r.refuses("which", httpapi.Skip, "no condition of gateway which holds")
	r.refuses("which", httpapi.ForceFail, "only activities can be made to fail")
	r.do("which", httpapi.Retry)
	r.becomes("which", state.Failed)
	r.do("", httpapi.Revoke)
	r.becomes(pipelineName, state.Revoked)
	r.refuses("which", httpapi.Retry, "is REVOKED: nothing can be done to it any more")
	r.ends(exitFailed, pipelineName+" REVOKED", "  start FINISHED", "  a FINISHED retry=1 skip", "  which FAILED retry=1")
}

func TestAPausedTaskBeginsNothingUntilItIsResumed(t *testing.T) {
	g := newGate(t)
	tree := newTree("p")
	activity(tree, "a", g.command())
	activity(tree, "b", "true")
	activity(tree, "c", "true")
	chain(tree, "p_start", "a", "b", "c", "p_end")
	r := operated(t, tree)
	g.await(t)
	r.do("", httpapi.Pause)
	r.refuses("", httpapi.Pause, "invalid transition")
	g.open(t)
	r.refuses("c", httpapi.Skip, "the pipeline has not reached c")
	r.becomes("a", state.Finished)
	r.becomes(pipelineName, state.Suspended)
	r.refuses("c", httpapi.Pause, "the pipeline has not reached c")
	r.do("b", httpapi.Skip)
	r.do("c", httpapi.Pause)
	r.do("", httpapi.Resume)
	r.becomes(pipelineName, state.Suspended) // for c is paused by itself
	r.do("c", httpapi.Resume)
	r.becomes("end", state.Finished)
	r.ends(exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED", "  b FINISHED retry=1 skip", "  c FINISHED", "  end FINISHED")
}

func TestAResumedSubprocessContinuesInside(t *testing.T) {
	g := newGate(t)
	inside := newTree("sub")
	activity(inside, "a", g.command())
	activity(inside, "b", "true", "loop_config", object{"enable": true, "loop_times": 2})
	chain(inside, "sub_start", "a", "b", "sub_end")
	tree := newTree("p")
	subprocess(tree, "s", inside)
	chain(tree, "p_start", "s", "p_end")
	r := operated(t, tree)
	g.await(t)
	r.do("s", httpapi.Pause)
	g.open(t)
	r.becomes("a", state.Finished)
	r.refuses("s", httpapi.ForceFail, "only activities can be made to fail")
	r.refuses("s", httpapi.Retry, "invalid transition")
	r.do("s", httpapi.Resume)
	eventually(t, "it ends", func() bool { return r.status().State == state.Finished })
	r.ends(exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  s FINISHED",
		"    start FINISHED", "    a FINISHED", "    b FINISHED loop=2", "    end FINISHED", "  end FINISHED")
}

// stopped reports whether the processes of a group are stopped, as job control
// has it. The parent of one that stopped before it had replaced the parent's
// program waits without being stopped itself.
func stopped(t *testing.T, group string) bool {
	t.Helper()
	out, err := exec.Command("ps", "-e", "-o", "pgid=", "-o", "stat=").Output()
	if err != nil {
		t.Fatal(err)
	}
	some := false
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[0] != group {
			continue
		}
		switch fields[1][0] {
		case 'T':
			some = true
		case 'D', 'Z':
		default:
			return false
		}
	}
	return some
}

func TestAPausedCommandStopsAndContinuesAndItsUserIsTheActor(t *testing.T) {
	g, pid := newGate(t), filepath.Join(t.TempDir(), "pid")
	tree := newTree("p")
	activity(tree, "a", "echo $$ > "+pid+"; "+g.command(), "auto_retry", object{"enable": true, "times": 3}, "auto_skip", true)
	chain(tree, "p_start", "a", "p_end")
	r := remotely(t, tree, "bk_app_code=web&bk_app_secret=secret&bk_token=t", "-app", "web:secret", "-token", "t=ann", "-token", "u=bob", "-operator", "ann")
	g.await(t)
	number, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	command := strings.TrimSpace(string(number))
	r.credentials = strings.Replace(r.credentials, "=t", "=u", 1)
	if a := r.ask("a", httpapi.Pause); a.status != http.StatusForbidden {
		t.Errorf("who may only look: %+v", a)
	}
	r.credentials = strings.Replace(r.credentials, "=u", "=t", 1)
	r.do("a", httpapi.Pause)
	r.becomes("a", state.Suspended)
	eventually(t, "the command stops", func() bool { return stopped(t, command) })
	r.refuses("a", httpapi.Pause, "invalid transition")
	r.refuses("a", httpapi.Skip, "invalid transition")
	if !stopped(t, command) {
		t.Error("a refused action continues it")
	}
	r.do("a", httpapi.Resume)
	eventually(t, "the command continues", func() bool { return !stopped(t, command) })
	r.do("a", httpapi.Pause)
	r.do("a", httpapi.ForceFail) // in spite of what it would do by itself
	r.becomes("a", state.Failed)
	if a := named(t, r.status(), "a"); a.Retry != 0 || a.Skip {
		t.Errorf("it is %+v", a)
	}
	g.open(t)
	r.do("a", httpapi.Retry)
	r.becomes("end", state.Finished)
	r.ends(exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED retry=1", "  end FINISHED")
	id := recordedAs(t, r.db, "a")
	want := "[suspend by ann resume by ann suspend by ann fail by ann retry by ann]"
	if got := fmt.Sprint(actors(t, r.db, id)); got != want {
		t.Errorf("recorded are %s, want %s", got, want)
	}
	history := historyOf(t, r.db, id)
	if len(history) != 1 || !strings.HasPrefix(history[0].Error, "made to fail by ann") {
		t.Errorf("history %+v", history)
	}
}

func TestARevokedTaskEndsItsCommands(t *testing.T) {
	g, pid := newGate(t), filepath.Join(t.TempDir(), "pid")
	tree := parallelTree("ParallelGateway")
	setCommand(tree, "a", "echo $$ > "+pid+"; "+g.command())
	setCommand(tree, "b", "exit 1")
	find(tree, "b")["auto_retry"] = object{"enable": true, "times": 1, "interval": 3600}
	r := operated(t, tree)
	g.await(t)
	r.becomes("b", state.Failed)
	r.do("", httpapi.Revoke)
	r.becomes("a", state.Failed)
	number, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("kill", "-0", strings.TrimSpace(string(number))).Run(); err == nil {
		t.Error("the command still runs")
	}
	r.signals <- syscall.SIGTERM
	o := ended(t, r.results)
	expect(t, o, exitFailed, pipelineName+" REVOKED", "  start FINISHED", "  fork FINISHED", "  a FAILED", "  b FAILED")
	if !strings.Contains(o.stderr, "interrupted: the task was revoked by somebody") {
		t.Error("it does not say why")
	}
}

func TestARevokedTaskEndsAPausedCommand(t *testing.T) {
	g, tree := gated(t)
	r := operated(t, tree)
	g.await(t)
	r.do("a", httpapi.Pause)
	r.do("", httpapi.Revoke)
	r.becomes("a", state.Revoked)
	r.ends(exitFailed, pipelineName+" REVOKED", "  start FINISHED", "  a REVOKED")
}

func TestAnAutomaticRetryIsGivenUpOrBroughtForward(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "ok")
	tree := newTree("p")
	activity(tree, "a", "test -e "+marker, "auto_retry", object{"enable": true, "times": 1, "interval": 3600})
	chain(tree, "p_start", "a", "p_end")
	r := operated(t, tree)
	r.becomes("a", state.Failed)
	r.do("a", httpapi.Retry)
	eventually(t, "it fails again", func() bool { a := named(t, r.status(), "a"); return a.State == state.Failed && a.Retry == 1 })
	r.do("a", httpapi.ForceFail)
	r.becomes(pipelineName, state.Failed) // and no more RUNNING, with the retry pending
	r.do("", httpapi.Pause)
	r.do("a", httpapi.Retry)
	r.becomes("a", state.Created)
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.do("", httpapi.Resume)
	r.becomes("end", state.Finished)
	r.ends(exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED retry=2", "  end FINISHED")
}

func TestImpossibleOperationsAreRefusedWithAReason(t *testing.T) {
	g := newGate(t)
	tree := newTree("p")
	activity(tree, "never", "false", "retryable", false, "skippable", false)
	activity(tree, "b", "true")
	activity(tree, "a", g.command())
	gateway(tree, "fork", "ParallelGateway")
	gateway(tree, "join", "ConvergeGateway")
	chain(tree, "p_start", "fork", "a", "join", "p_end")
	chain(tree, "fork", "never", "b", "join")
	r := operated(t, tree)
	g.await(t)
	r.becomes("never", state.Failed)
	for _, tt := range []struct {
		name   string
		action httpapi.Action
		why    string
	}{
		{"never", httpapi.Retry, "not retryable"},
		{"never", httpapi.Skip, "not skippable"},
		{"never", httpapi.Pause, "invalid transition"},
		{"a", httpapi.Retry, "invalid transition"},
		{"a", httpapi.Skip, "invalid transition"},
		{"a", httpapi.Resume, "invalid transition"},
		{"start", httpapi.Retry, "invalid transition"},
		{"start", httpapi.ForceFail, "only activities"},
		{pipelineName, httpapi.Skip, "is for one of its nodes"},
		{pipelineName, httpapi.ForceFail, "is for one of its nodes"},
	} {
		r.refuses(tt.name, tt.action, tt.why)
	}
	if a := r.post("operate_node", "node_id", named(t, r.status(), "never").ID, "action", "retry", "inputs", `{"x":1}`); a.Result || !strings.Contains(a.Message, "with the inputs that its definition gives it") {
		t.Errorf("other inputs: %+v", a)
	}
	if a := r.post("operate_task", "task_id", "t2", "action", "revoke"); a.Result || a.status != http.StatusForbidden {
		t.Errorf("another task: %+v", a)
	}
	g.open(t)
	r.becomes("a", state.Finished)
	r.ends(exitFailed, pipelineName+" FAILED", "  start FINISHED", "  fork FINISHED", "  a FINISHED", "  never FAILED")
}

func TestWithoutTheFlagTheTaskCannotBeOperated(t *testing.T) {
	g, tree := gated(t)
	r := remotely(t, tree, "", "-no-auth")
	g.await(t)
	for _, name := range []string{"", "a"} {
		if a := r.ask(name, httpapi.Pause); a.status != http.StatusNotFound {
			t.Errorf("%q: %+v", name, a)
		}
	}
	g.open(t)
	r.becomes("end", state.Finished)
	r.ends(exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED", "  end FINISHED")
}

// -resume continues a node that a person paused; the command is run again.
func TestAPausedNodeIsResumedByAnotherRunner(t *testing.T) {
	g, tree := gated(t)
	r := operated(t, tree)
	g.await(t)
	r.do("a", httpapi.Pause)
	r.signals <- os.Interrupt
	r.signals <- os.Interrupt
	expect(t, ended(t, r.results), exitSuspended, pipelineName+" FAILED", "  start FINISHED", "  a FAILED")
	g.open(t)
	expect(t, callRunner(t, "-db", r.db, "-resume"), exitFinished,
		pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED retry=1", "  end FINISHED")
}

func TestTheDefinitionIsServedWithTheIDsOfTheStatus(t *testing.T) {
	g := newGate(t)
	inside := newTree("s")
	activity(inside, "a", g.command())
	inside["data"] = object{"outputs": []any{"${y}"}}
	chain(inside, "s_start", "a", "s_end")
	tree := newTree("p")
	subprocess(tree, "s", inside)
	activity(tree, "b", "true")
	find(tree, "b")["component"].(object)["inputs"].(object)["id"] = object{"value": object{"id": "a"}}
	chain(tree, "p_start", "s", "b", "p_end")
	tree["data"] = object{"inputs": object{"${x}": object{"source_act": "s", "source_key": "${y}"}}}
	r := remotely(t, tree, "", "-no-auth")
	g.await(t)
	var detail struct {
		Tree json.RawMessage `json:"pipeline_tree"`
	}
	if a := r.post("get_task_detail"); !a.Result || json.Unmarshal(a.Data, &detail) != nil {
		t.Fatalf("%+v", a)
	}
	var served, begunWith any
	if err := errors.Join(json.Unmarshal(detail.Tree, &served), json.Unmarshal(encode(t, tree), &begunWith)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(begunWith, served); diff != "" {
		t.Errorf("it is another one: %s", diff)
	}
	if s := named(t, r.status(), "s"); s.ID != "s" || s.Child("a") == nil {
		t.Errorf("the status has %+v", s)
	}
	for name, want := range map[string]string{"a": "RUNNING", "b": "CREATED"} {
		var node struct{ Name, State string }
		if a := r.post("get_task_node_detail", "node_id", name); !a.Result || json.Unmarshal(a.Data, &node) != nil || node.State != want || node.Name != name {
			t.Errorf("%s: %+v", name, a)
		}
	}
	g.open(t)
	r.becomes("b", state.Finished)
	r.signals <- os.Interrupt
	ended(t, r.results)
}
