//go:build unix

package statusctl

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// launch starts a process and returns its output, to be closed.
func launch(t *testing.T, args ...string) (cmd *exec.Cmd, stdout, stderr io.ReadCloser) {
	t.Helper()
	cmd = process(t, args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if stderr, err = cmd.StderrPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, stdout, stderr
}

func TestServeContinuesWhenItsOutputIsClosed(t *testing.T) {
	cmd, stdout, stderr := launch(t, "serve", "-db", told(t), "-addr", "127.0.0.1:0", "-no-auth")
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err, cmd.Wait())
	}
	stdout.Close()
	stderr.Close()
	_, url, _ := strings.Cut(strings.TrimSpace(line), " at ")
	for range 3 { // each is logged without a reader
		if status, body := fetch(t, url+"api/tasks"); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended badly: %v", err)
	}
}

func TestServeStartsWhenItsOutputIsClosed(t *testing.T) {
	// The address cannot be announced, so the test chooses it.
	s := serve(t, "-db", told(t), "-no-auth", "-quiet")
	addr := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/")
	s.end(t)
	cmd := process(t, "serve", "-db", told(t), "-addr", addr, "-no-auth", "-quiet")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for !listens(addr) {
		if cmd.Process.Signal(syscall.Signal(0)) != nil {
			t.Fatal("it has ended", cmd.Wait())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended badly: %v", err)
	}
}

func TestWatchSucceedsWhenItsOutputIsClosed(t *testing.T) {
	db := told(t)
	cmd, stdout, stderr := launch(t, "watch", "-follow", "-db", db)
	if _, err := bufio.NewReaderSize(stdout, 16).ReadString('\n'); err != nil {
		t.Fatal(err, cmd.Wait())
	}
	stdout.Close()
	stderr.Close()
	// The next transition cannot be shown.
	for {
		got := call(t.Context(), `{"op":"create","biz":"b","task":"later"}`, "apply", "-db", db)
		if !strings.Contains(got.stdout, `"locked"`) {
			break // watch opens the file for a moment at intervals
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended badly: %v", err)
	}
}

func TestACommandIsNotKilledWhenItsOutputIsClosed(t *testing.T) {
	db := told(t)
	out := filepath.Join(t.TempDir(), "copy.db")
	for name, args := range map[string][]string{
		"list":   {"list", "-db", db},
		"apply":  {"apply", "-db", db},
		"export": {"export", "-db", db},
		"backup": {"backup", "-db", db, out},
		"json":   {"get", "-json", "-db", db, "2", "10"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := process(t, args...)
		cmd.Stdin = strings.NewReader(`{"op":"create","biz":"b","task":"one"}` + "\n")
		cmd.Stdout, cmd.Stderr = w, w
		_ = cmd.Run()
		w.Close()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signaled() {
			t.Errorf("%s: %v", name, cmd.ProcessState)
		}
	}
	if got := succeed(t, "", "list", "-db", db); !strings.Contains(got, "one") {
		t.Errorf("the operation was not recorded:\n%s", got)
	}
}
