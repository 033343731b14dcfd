//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pipestatus/pipestatus/examples/postgres/internal/pgserver"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/pgstore/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Main(m, runUntil)) }

// gated is a pipeline whose second command waits until the gate is open, and
// whose third needs what the first has set.
type gated struct{ dir, file string }

func newGated(t *testing.T) *gated {
	t.Helper()
	g := &gated{dir: t.TempDir()}
	g.file = pipeline(t, `echo ::set x=1`,
		fmt.Sprintf("echo x >> %[1]s/ran; until [ -e %[1]s/open ] || ! [ -d %[1]s ]; do sleep 0.05; done", g.dir), `test "$x" = 1`)
	return g
}

// pipeline writes a definition of commands, one after another, called 0, 1, ….
func pipeline(t *testing.T, commands ...string) string {
	t.Helper()
	var activities, flows []string
	from := "s"
	connect := func(to string) {
		flows = append(flows, fmt.Sprintf(`"to%s":{"id":"to%[1]s","source":%q,"target":%[1]q}`, to, from))
		from = to
	}
	for i, command := range commands {
		id, next := fmt.Sprint(i), fmt.Sprint("to", i+1)
		if i == len(commands)-1 {
			next = "toe"
		}
		activities = append(activities, fmt.Sprintf(`%q:{"id":%[1]q,"type":"ServiceActivity","incoming":"to%[1]s","outgoing":%q,
			"component":{"code":"shell","inputs":{"command":{"value":%q}}}}`, id, next, command))
		connect(id)
	}
	connect("e")
	text := fmt.Sprintf(`{"id":"p","start_event":{"id":"s","type":"EmptyStartEvent","incoming":"","outgoing":"to0"},
		"end_event":{"id":"e","type":"EmptyEndEvent","incoming":"toe","outgoing":""},
		"activities":{%s},"gateways":{},"flows":{%s}}`, strings.Join(activities, ","), strings.Join(flows, ","))
	file := filepath.Join(t.TempDir(), "pipeline.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (g *gated) open(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, "open"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// runs is how often the gate was reached.
func (g *gated) runs() int {
	data, _ := os.ReadFile(filepath.Join(g.dir, "ran")) // not there before the first
	return strings.Count(string(data), "x")
}

// start starts a runner with the pipeline and waits for it to reach the gate.
func (g *gated) start(t *testing.T, url, task string) *pgserver.Process {
	t.Helper()
	p := pgserver.Start(t, "", "-store", url, "-lease", "3s", "-task", task, g.file)
	pgserver.Eventually(t, "the command runs", func() bool { return g.runs() == 1 })
	return p
}

// asked is a query on a database.
func asked(t *testing.T, url string) *query.Query {
	t.Helper()
	s, err := pgstore.Open(t.Context(), url, &pgstore.Options{Lease: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return query.New(s, nil)
}

// shape is the states below the root and how often each was retried.
func shape(t *testing.T, q *query.Query, task string) string {
	t.Helper()
	s, err := q.Status(t.Context(), "1", task)
	if err != nil {
		t.Fatal(err)
	}
	parts := []string{s.State.String() + ":"}
	for _, c := range s.Children {
		parts = append(parts, fmt.Sprintf("%s/%d", c.State, c.Retry))
	}
	return strings.Join(parts, " ")
}

func TestOneOfTwoStandbysFinishesAKilledRunnersTask(t *testing.T) {
	t.Parallel()
	url, g := pgserver.Database(t), newGated(t)
	if p := pgserver.Start(t, "", "-store", url, "-task", "failed", pipeline(t, "false")); p.Exit() != 1 {
		t.Fatalf("exit code %d\n%s", p.Exit(), p.Stderr())
	}
	var standbys []*pgserver.Process
	for range 2 {
		p := pgserver.Start(t, "", "-store", url, "-standby")
		p.AwaitStderr("standing by")
		standbys = append(standbys, p)
	}
	killed := g.start(t, url, "killed")
	killed.Signal(syscall.SIGKILL)
	killed.Exit()
	pgserver.Eventually(t, "one of them continues", func() bool { return g.runs() == 2 })
	g.open(t)
	q := asked(t, url)
	finished := "FINISHED: FINISHED/0 FINISHED/0 FINISHED/1 FINISHED/0 FINISHED/0"
	pgserver.Eventually(t, "it is finished", func() bool { return shape(t, q, "killed") == finished })
	rescuers := 0
	for _, p := range standbys {
		if strings.Contains(p.Stderr(), "task killed was left by a runner") {
			rescuers++
			p.AwaitStderr("FINISHED, recorded in")
		}
	}
	for _, p := range standbys {
		p.Signal(syscall.SIGINT)
		if code := p.Exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	if rescuers != 1 || g.runs() != 2 {
		t.Errorf("%d of them got it, and the command ran %d times", rescuers, g.runs())
	}
	if got, want := shape(t, q, "failed"), "FAILED: FINISHED/0 FAILED/0 CREATED/0"; got != want {
		t.Errorf("the task that failed is %s, want %s, as a person has to look at it", got, want)
	}
}

func TestResumeWaitsUntilNoOtherRunnerHasTheTask(t *testing.T) {
	t.Parallel()
	url, g := pgserver.Database(t), newGated(t)
	first := g.start(t, url, "1")
	for _, args := range [][]string{{"-task", "1"}, nil} {
		second := pgserver.Start(t, "", append([]string{"-store", url, "-resume"}, args...)...)
		second.AwaitStderr("another runner has task 1;")
		second.Signal(syscall.SIGINT)
		if code := second.Exit(); code != 130 {
			t.Errorf("exit code %d of one that was told to stop waiting", code)
		}
	}
	second := pgserver.Start(t, "", "-store", url, "-resume", "-task", "1")
	second.AwaitStderr("another runner has task 1;")
	g.open(t)
	if code := first.Exit(); code != 0 {
		t.Errorf("exit code %d of the first", code)
	}
	if code := second.Exit(); code != 0 || !strings.Contains(second.Stderr(), "the task is FINISHED") {
		t.Errorf("exit code %d of the second", code)
	}
	if g.runs() != 1 {
		t.Errorf("the command ran %d times", g.runs())
	}
}

func TestARunnerWithoutItsLeaseCannotRecord(t *testing.T) {
	t.Parallel()
	url, g := pgserver.Database(t), newGated(t)
	asleep := g.start(t, url, "1")
	asleep.Signal(syscall.SIGSTOP)
	second := pgserver.Start(t, "", "-store", url, "-resume", "-task", "1")
	pgserver.Eventually(t, "the second continues", func() bool { return g.runs() == 2 })
	g.open(t)
	if code := second.Exit(); code != 0 {
		t.Errorf("exit code %d of the second", code)
	}
	q := asked(t, url)
	before := shape(t, q, "1")
	asleep.Signal(syscall.SIGCONT)
	if code := asleep.Exit(); code != 1 || !strings.Contains(asleep.Stderr(), "another runner has the task now") {
		t.Errorf("exit code %d of the first", code)
	}
	if after := shape(t, q, "1"); after != before || !strings.HasPrefix(after, "FINISHED") {
		t.Errorf("%s became %s", before, after)
	}
}

func TestAnOwnerNeedNotWaitForItsOwnLeases(t *testing.T) {
	t.Parallel()
	url, g := pgserver.Database(t), newGated(t)
	owner := []string{"-store", url, "-owner", "host-1", "-lease", "1h"}
	killed := pgserver.Start(t, "", append(owner, g.file)...)
	pgserver.Eventually(t, "the command runs", func() bool { return g.runs() == 1 })
	killed.Signal(syscall.SIGKILL)
	killed.Exit()
	g.open(t)
	pgserver.Run(t, "", append(owner, "-resume")...)
}

func TestARunnerOutlivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	server, err := pgtest.New("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	g := newGated(t)
	p := g.start(t, server.URL(), "1")
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	g.open(t) // the command ends, and no server is up to record it
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got, want := shape(t, asked(t, server.URL()), "1"), "FINISHED: FINISHED/0 FINISHED/0 FINISHED/0 FINISHED/0 FINISHED/0"; got != want {
		t.Errorf("the task is %s, want %s", got, want)
	}
}

func TestNoPasswordIsPrinted(t *testing.T) {
	t.Parallel()
	url := strings.Replace(pgserver.Database(t), "postgres@", "postgres:s3cret@", 1)
	for _, call := range []struct {
		args []string
		code int
	}{
		{[]string{"-store", url, pipeline(t, "true")}, 0},
		{[]string{"-store", url, "-task", "f", pipeline(t, "false")}, 1},
		{[]string{"-store", url, "-task", "f", pipeline(t, "false")}, 2},
		{[]string{"-store", url, "-resume", "-task", "none"}, 2},
		{[]string{"-store", url + "x", "-resume"}, 1},
		{[]string{"-store", strings.Replace(url, "s3cret", "s3cret%", 1), "-resume"}, 1},
		{[]string{"-store", strings.Replace(url, "127.0.0.1", "127.0.0.1:x", 1), "-resume"}, 1},
		{[]string{"-db", "", "-standby"}, 2},
		{[]string{"-store", url, "-standby", "-resume"}, 2},
	} {
		p := pgserver.Start(t, "", call.args...)
		if code := p.Exit(); code != call.code || code > 0 && p.Stderr() == "" {
			t.Errorf("%v: exit code %d, want %d", call.args, code, call.code)
		}
		if strings.Contains(p.Stdout()+p.Stderr(), "s3c") {
			t.Errorf("%v: the password is printed", call.args)
		}
	}
}
