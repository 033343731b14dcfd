//go:build unix

package main

import (
	"bufio"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pipestatus/pipestatus/examples/postgres/internal/pgserver"
)

const story = `{"op":"create","biz":"2","task":"10","id":"p","name":"nightly","at":1524730114}
{"op":"start","node":"p","at":1524730115.123456789}
{"op":"declare","node":"a","parent":"p","kind":"service_activity","name":"build","at":1524730116}
{"op":"start","node":"a","at":1524730117}
{"op":"fail","node":"a","error":"disk full","at":1524730118}
{"op":"retry","node":"a","new_version":"0000000000000000000000000000000a","at":1524730119}
{"op":"start","node":"a","at":1524730120}
{"op":"finish","node":"a","at":1524730121}
{"op":"finish","node":"p","at":1524730122}
`

func TestCommandsPrintTheSameForAServerAndAFile(t *testing.T) {
	t.Parallel()
	file, url := filepath.Join(t.TempDir(), "a.db"), pgserver.Database(t)
	pgserver.Run(t, story, "apply", "-db", file)
	pgserver.Run(t, pgserver.Run(t, "", "export", "-db", file), "import", "-db", url)
	commands := []string{
		"list", "list -json -state FINISHED", "get 2 10", "get 2 a", "get -at 2018-04-26T08:08:38Z 2 10", "tree 2 10", "history a", "timeline 2 10",
		"timeline -json 2 10", "watch -json", "export", "purge -keep 0 -dry-run", "check", "purge -keep 0", "list",
	}
	for i, command := range commands {
		args := append(strings.Fields(command), "-tz", "UTC", "-db")
		want, got := pgserver.Run(t, "", append(args, file)...), pgserver.Run(t, "", append(args, url)...)
		if want = strings.ReplaceAll(want, file, url); got != want || (got == "") != (i == len(commands)-1) { // the last list is empty
			t.Errorf("%s prints of a file\n%sand of a server\n%s", command, want, got)
		}
	}
}

func TestFileCommandsNameTheirReplacementOnAServer(t *testing.T) {
	t.Parallel()
	url := pgserver.Database(t)
	for _, args := range [][]string{{"backup", "x"}, {"compact"}, {"salvage", "x"}} {
		p := pgserver.Start(t, "", append(args, "-db", url)...)
		if code := p.Exit(); code != 2 || !strings.Contains(p.Stderr(), "pg_dump") {
			t.Errorf("%v: exit code %d\n%s", args, code, p.Stderr())
		}
	}
	p := pgserver.Start(t, "", "list", "-db", url)
	if code := p.Exit(); code != 1 || !strings.Contains(p.Stderr(), "no store in "+url) {
		t.Errorf("list of an empty database: exit code %d\n%s", code, p.Stderr())
	}
}

func TestFollowingShowsOperationsOfOtherProcesses(t *testing.T) {
	t.Parallel()
	url := pgserver.Database(t)
	lines := strings.SplitAfter(strings.TrimSpace(story), "\n")
	pgserver.Run(t, lines[0], "apply", "-db", url)
	watch := pgserver.Start(t, "", "watch", "-follow", "-db", url)
	for i, line := range lines {
		if i > 0 {
			pgserver.Run(t, line, "apply", "-db", url)
		}
		pgserver.Eventually(t, "it is shown", func() bool { return strings.Count(watch.Stdout(), "\n") == i+1 })
	}
	watch.Signal(syscall.SIGINT)
	if code := watch.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestServeShowsOperationsOfOtherProcesses(t *testing.T) {
	t.Parallel()
	url := pgserver.Database(t)
	lines := strings.SplitAfter(strings.TrimSpace(story), "\n")
	pgserver.Run(t, lines[0], "apply", "-db", url)
	serve := pgserver.Start(t, "", "serve", "-addr", "127.0.0.1:0", "-no-auth", "-quiet", "-db", url)
	var at string
	pgserver.Eventually(t, "it serves", func() bool {
		line, err := bufio.NewReader(strings.NewReader(serve.Stdout())).ReadString('\n')
		_, at, _ = strings.Cut(strings.TrimSpace(line), " at ")
		return err == nil
	})
	for _, step := range []struct{ record, want string }{{"", `"state":"CREATED"`}, {lines[1], `"state":"RUNNING"`}} {
		pgserver.Run(t, step.record, "apply", "-db", url)
		if got := fetch(t, at+"api/status?bk_biz_id=2&task_id=10"); !strings.Contains(got, step.want) {
			t.Errorf("after %q: %s", step.record, got)
		}
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", url, resp.Status, err, body)
	}
	return string(body)
}
