//go:build unix

package runner

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// gate is a command that tells that it runs and waits to be let through, or for
// the end of its test: a test that fails leaves nothing running.
type gate struct{ dir string }

func newGate(t *testing.T) gate { return gate{t.TempDir()} }

func (g gate) command() string {
	return fmt.Sprintf("echo x >> %[1]s/ran; touch %[1]s/here; until [ -e %[1]s/open ] || ! [ -d %[1]s ]; do sleep 0.01; done", g.dir)
}

func (g gate) open(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, "open"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (g gate) await(t *testing.T) {
	t.Helper()
	eventually(t, "the command runs", func() bool {
		_, err := os.Stat(filepath.Join(g.dir, "here"))
		return err == nil
	})
}

// runs is how often the command was started.
func (g gate) runs(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(g.dir, "ran"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(data, []byte("x"))
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 3000 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func ended(t *testing.T, results chan outcome) outcome {
	t.Helper()
	select {
	case o := <-results:
		return o
	case <-time.After(30 * time.Second):
		t.Fatal("the program does not end")
		return outcome{}
	}
}

// begun starts the program with a tree and waits for the gate in it.
func begun(t *testing.T, db string, tree object, g gate) (signals chan os.Signal, stderr *syncBuffer, results chan outcome) {
	t.Helper()
	signals, stderr, results = make(chan os.Signal), &syncBuffer{}, make(chan outcome, 1)
	file := write(t, tree)
	go func() { results <- callWith(t, signals, stderr, "-grace", "1h", "-db", db, file) }()
	g.await(t)
	return signals, stderr, results
}

func TestSuspendLetsRunningCommandsReportAndResumeContinues(t *testing.T) {
	t.Parallel()
	db, g := filepath.Join(t.TempDir(), "p.db"), newGate(t)
	tree := newTree("p")
	activity(tree, "a", g.command()+"; echo ::set x=1")
	activity(tree, "b", `test "$x" = 1`)
	chain(tree, "p_start", "a", "b", "p_end")
	signals, stderr, results := begun(t, db, tree, g)
	signals <- os.Interrupt
	eventually(t, "it says that it is suspended", func() bool { return strings.Contains(stderr.String(), "suspended; waiting") })
	g.open(t)
	o := ended(t, results)
	expect(t, o, exitSuspended, pipelineName+" SUSPENDED", "  start FINISHED", "  a FINISHED")
	if !strings.HasSuffix(o.stderr, "\nSUSPENDED, recorded in "+db+"\n") {
		t.Error("its last words are not that it is suspended")
	}
	expect(t, callRunner(t, "-db", db, "-resume"), exitFinished,
		pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED", "  b FINISHED", "  end FINISHED")
	if n := g.runs(t); n != 1 {
		t.Errorf("the finished command ran %d times", n)
	}
	s, err := boltstore.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	task := taskOf(t, s)
	s.Close()
	if o := callRunner(t, "-db", db, "-resume", "-task", task); o.code != exitFinished || !strings.Contains(o.stderr, "the task is FINISHED") {
		t.Errorf("resuming what has finished: exit code %d", o.code)
	}
}

// taskOf is the one task in a store.
func taskOf(t *testing.T, s *boltstore.Store) string {
	t.Helper()
	page, err := s.List(t.Context(), store.ListQuery{})
	if err != nil || len(page.Tasks) != 1 {
		t.Fatalf("tasks %v, %v", page.Tasks, err)
	}
	return page.Tasks[0].Key.Task
}

func TestASecondSignalStopsCommandsAndResumeRetriesThem(t *testing.T) {
	t.Parallel()
	db, g := filepath.Join(t.TempDir(), "p.db"), newGate(t)
	tree := newTree("p")
	activity(tree, "a", g.command(), "auto_retry", object{"enable": true, "times": 5})
	chain(tree, "p_start", "a", "p_end")
	signals, _, results := begun(t, db, tree, g)
	signals <- syscall.SIGTERM
	signals <- syscall.SIGTERM
	o := ended(t, results)
	expect(t, o, exitSuspended, pipelineName+" FAILED", "  start FINISHED", "  a FAILED")
	if !strings.Contains(o.stderr, "interrupted: the runner was stopped") {
		t.Error("it does not say why")
	}
	g.open(t)
	expect(t, callRunner(t, "-db", db, "-resume"), exitFinished,
		pipelineName+" FINISHED", "  start FINISHED", "  a FINISHED retry=1", "  end FINISHED")
}

func TestSuspendInALoopContinuesInTheNextPass(t *testing.T) {
	t.Parallel()
	db, g := filepath.Join(t.TempDir(), "p.db"), newGate(t)
	// a and the gateway have finished once when b, in the second pass, ends
	// under the suspended pipeline: nothing says where it leads but its story.
	tree := newTree("p")
	activity(tree, "a", "true")
	activity(tree, "b", `[ "$NODE_LOOP" -ne 2 ] || { `+g.command()+`; }; echo "::set n=$NODE_LOOP"`)
	gateway(tree, "again", "ExclusiveGateway")
	chain(tree, "p_start", "a", "b", "again")
	connect(tree, "again", "a", "${n} < 3")
	connect(tree, "again", "p_end", "default")
	signals, stderr, results := begun(t, db, tree, g)
	signals <- os.Interrupt
	eventually(t, "it says that it is suspended", func() bool { return strings.Contains(stderr.String(), "suspended; waiting") })
	g.open(t)
	expect(t, ended(t, results), exitSuspended, pipelineName+" SUSPENDED", "  start FINISHED",
		"  a FINISHED loop=2", "  b FINISHED loop=2", "  again FINISHED")
	expect(t, callRunner(t, "-db", db, "-resume"), exitFinished, pipelineName+" FINISHED", "  start FINISHED",
		"  a FINISHED loop=3", "  b FINISHED loop=3", "  again FINISHED loop=3", "  end FINISHED")
}

func TestBranchesThatEndWhileSuspendedMeetAfterwards(t *testing.T) {
	t.Parallel()
	db, g := filepath.Join(t.TempDir(), "p.db"), newGate(t)
	// In the second pass both branches end while the pipeline is suspended,
	// so that nobody can enter join, which would loop.
	wait := `[ "$NODE_LOOP" -ne 2 ] || { ` + g.command() + `; }`
	tree := parallelTree("ParallelGateway")
	for _, id := range []string{"a", "b"} {
		find(tree, id)["component"].(object)["inputs"].(object)["command"] = object{"value": wait}
	}
	activity(tree, "count", `echo "::set n=$NODE_LOOP"`)
	gateway(tree, "again", "ExclusiveGateway")
	remove(tree, "join", "p_end")
	chain(tree, "join", "count", "again")
	connect(tree, "again", "fork", "${n} < 2")
	connect(tree, "again", "p_end", "default")
	signals, stderr, results := begun(t, db, tree, g)
	eventually(t, "both branches run", func() bool { return g.runs(t) == 2 })
	signals <- os.Interrupt
	eventually(t, "it says that it is suspended", func() bool { return strings.Contains(stderr.String(), "suspended; waiting") })
	g.open(t)
	if o := ended(t, results); o.code != exitSuspended {
		t.Fatalf("exit code %d", o.code)
	}
	expect(t, callRunner(t, "-db", db, "-resume"), exitFinished, pipelineName+" FINISHED", "  start FINISHED",
		"  fork FINISHED loop=2", "  a FINISHED loop=2", "  b FINISHED loop=2", "  join FINISHED loop=2",
		"  count FINISHED loop=2", "  again FINISHED loop=2", "  end FINISHED")
}

func TestASuspendedBranchThatCannotLoopIsWaitedFor(t *testing.T) {
	t.Parallel()
	db, inLoop, outside := filepath.Join(t.TempDir(), "p.db"), newGate(t), newGate(t)
	tree := parallelTree("ParallelGateway")
	find(tree, "a")["component"].(object)["inputs"].(object)["command"] = object{
		"value": `[ "$NODE_LOOP" -ne 2 ] || { ` + inLoop.command() + `; }; echo "::set n=$NODE_LOOP"`,
	}
	find(tree, "b")["component"].(object)["inputs"].(object)["command"] = object{"value": outside.command()}
	gateway(tree, "again", "ExclusiveGateway")
	remove(tree, "a", "join")
	chain(tree, "a", "again")
	connect(tree, "again", "a", "${n} < 2")
	connect(tree, "again", "join", "default")
	signals, stderr, results := begun(t, db, tree, inLoop)
	outside.await(t)
	signals <- os.Interrupt
	eventually(t, "it says that it is suspended", func() bool { return strings.Contains(stderr.String(), "suspended; waiting") })
	// a ends in its second pass. again has finished before and cannot loop
	// now, so nothing that is recorded as unfinished stands for this branch.
	inLoop.open(t)
	eventually(t, "a finishes again", func() bool { return strings.Count(stderr.String(), "finish    a\n") == 2 })
	outside.open(t)
	expect(t, ended(t, results), exitSuspended, pipelineName+" SUSPENDED", "  start FINISHED", "  fork FINISHED",
		"  a FINISHED loop=2", "  again FINISHED", "  b FINISHED")
	expect(t, callRunner(t, "-db", db, "-resume"), exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  fork FINISHED",
		"  a FINISHED loop=2", "  again FINISHED loop=2", "  b FINISHED", "  join FINISHED", "  end FINISHED")
}

func TestAFailedPipelineResumes(t *testing.T) {
	t.Parallel()
	db, marker := filepath.Join(t.TempDir(), "p.db"), filepath.Join(t.TempDir(), "ok")
	inside := newTree("sub")
	activity(inside, "bad", "test -e "+marker)
	chain(inside, "sub_start", "bad", "sub_end")
	tree := parallelTree("ParallelGateway")
	subprocess(tree, "sub", inside)
	chain(tree, "fork", "sub", "join")
	file := write(t, tree)
	failed := []string{
		pipelineName + " FAILED", "  start FINISHED", "  fork FINISHED", "  a FINISHED", "  b FINISHED",
		"  sub FAILED", "    start FINISHED", "    bad FAILED",
	}
	expect(t, callRunner(t, "-db", db, file), exitFailed, failed...)
	failed[len(failed)-1] = "    bad FAILED retry=1"
	expect(t, callRunner(t, "-db", db, "-resume", file), exitFailed, failed...)
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, callRunner(t, "-db", db, "-resume"), exitFinished,
		pipelineName+" FINISHED", "  start FINISHED", "  fork FINISHED", "  a FINISHED", "  b FINISHED", "  sub FINISHED",
		"    start FINISHED", "    bad FINISHED retry=2", "    end FINISHED", "  join FINISHED", "  end FINISHED")
}

func TestNodesThatAreNotRetryableStayFailed(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "p.db")
	tree := newTree("p")
	activity(tree, "a", "false", "retryable", false)
	chain(tree, "p_start", "a", "p_end")
	want := []string{pipelineName + " FAILED", "  start FINISHED", "  a FAILED"}
	expect(t, callRunner(t, "-db", db, write(t, tree)), exitFailed, want...)
	o := callRunner(t, "-db", db, "-resume")
	expect(t, o, exitFailed, want...)
	if !strings.Contains(o.stderr, "a failed and is not retryable") {
		t.Error("it does not say why")
	}
}

func TestAnAutomaticRetryStaysPendingWhileSuspended(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "p.db")
	tree := newTree("p")
	activity(tree, "a", "false", "auto_retry", object{"enable": true, "times": 1, "interval": 3600})
	chain(tree, "p_start", "a", "p_end")
	file := write(t, tree)
	for _, step := range []struct {
		seen string
		args []string
	}{{"fail ", []string{"-db", db, file}}, {"resume ", []string{"-db", db, "-resume"}}} {
		signals, stderr, results := make(chan os.Signal, 1), &syncBuffer{}, make(chan outcome, 1)
		go func() { results <- callWith(t, signals, stderr, step.args...) }()
		eventually(t, step.seen, func() bool { return strings.Contains(stderr.String(), step.seen) })
		signals <- os.Interrupt
		expect(t, ended(t, results), exitSuspended, pipelineName+" SUSPENDED", "  start FINISHED", "  a FAILED")
	}
	s, err := boltstore.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	q := query.New(s, &query.Options{Fields: query.FieldRetryAt})
	status, err := q.Status(t.Context(), "1", taskOf(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if named(t, status, "a").RetryAt.IsZero() {
		t.Error("the retry is no longer pending")
	}
}

func TestKilledInTheMiddleItResumes(t *testing.T) {
	t.Parallel()
	db, g := filepath.Join(t.TempDir(), "p.db"), newGate(t)
	inside := newTree("sub")
	activity(inside, "before", "echo ::set x=1")
	activity(inside, "waiting", g.command())
	chain(inside, "sub_start", "before", "waiting", "sub_end")
	inside["data"] = object{"outputs": []any{"${x}"}}
	tree := parallelTree("ParallelGateway")
	subprocess(tree, "sub", inside)
	tree["data"] = object{"inputs": object{"${x_inside}": object{"source_act": "sub", "source_key": "${x}"}}}
	chain(tree, "fork", "sub", "join")
	gateway(tree, "known", "ExclusiveGateway")
	activity(tree, "lost", "true")
	remove(tree, "join", "p_end")
	chain(tree, "join", "known")
	connect(tree, "known", "p_end", "${x_inside} == 1 && ${before.exit_code} == 0")
	connect(tree, "known", "lost", "default")
	chain(tree, "lost", "p_end")

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-db", db, "-task", "killed", write(t, tree))
	cmd.Env = append(os.Environ(), asProgram+"=1")
	stderr := &syncBuffer{}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.await(t)
	for _, line := range []string{"finish    a\n", "finish    b\n"} { // next to it
		eventually(t, line, func() bool { return strings.Contains(stderr.String(), line) })
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if s := statusOf(t, db, "killed"); named(t, s, "waiting").State.String() != "RUNNING" {
		t.Fatalf("it did not die in the middle: %v", shape(s))
	}
	g.open(t) // also for the orphan
	expect(t, callRunner(t, "-db", db, "-resume"), exitFinished,
		pipelineName+" FINISHED", "  start FINISHED", "  fork FINISHED", "  a FINISHED", "  b FINISHED", "  sub FINISHED",
		"    start FINISHED", "    before FINISHED", "    waiting FINISHED retry=1", "    end FINISHED",
		"  join FINISHED", "  known FINISHED", "  lost FINISHED retry=1 skip", "  end FINISHED")
	if n := g.runs(t); n != 2 {
		t.Errorf("the interrupted command ran %d times", n)
	}
	s, err := boltstore.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	history := historyIn(t, s, named(t, statusIn(t, s, "killed"), "waiting").ID)
	if len(history) != 1 || history[0].Error != interruptedText || history[0].State != state.Failed {
		t.Errorf("history of the interrupted node is %+v", history)
	}
}

func statusOf(t *testing.T, db, task string) *query.Status {
	t.Helper()
	s, err := boltstore.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return statusIn(t, s, task)
}

func statusIn(t *testing.T, s *boltstore.Store, task string) *query.Status {
	t.Helper()
	status, err := query.New(s, nil).Status(t.Context(), "1", task)
	if err != nil {
		t.Fatal(err)
	}
	return status
}
