//go:build unix

package runner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/query/picture"
)

func TestHowCommandsEnd(t *testing.T) {
	t.Parallel()
	tails := map[string]string{ // the last lines of output, which a success has as well
		"echo fine; echo ::set a=1; echo ::set b=x=y; echo ::set a=2": "fine",
		"echo one; echo two >&2; printf three; exit 7":                "one\ntwo\nthree",
		"printf '\\n  indented\\n    more\\n\\n'; exit 1":             "  indented\n    more",
		`printf '\r10%%\r90%%\r  \r\nfatal: full\r\n'; exit 1`:        "90%\nfatal: full",
	}
	for _, tt := range []struct {
		line    string
		exit    int
		problem string
		set     map[string]string
	}{
		{"true", 0, "", nil},
		{"echo fine; echo ::set a=1; echo ::set b=x=y; echo ::set a=2", 0, "", map[string]string{"a": "2", "b": "x=y"}},
		{"echo one; echo two >&2; printf three; exit 7", 7, "one\ntwo\nthree\nexit status 7", nil},
		{"echo ::set a=1; exit 1", 1, "exit status 1", map[string]string{"a": "1"}},
		{"kill -9 $$", 137, "signal: killed", nil},
		{"no-such-program-anywhere 2>/dev/null", 127, "exit status 127", nil},
		{`exit "$CODE"`, 12, "exit status 12", nil},
		{"printf '\\n  indented\\n    more\\n\\n'; exit 1", 1, "  indented\n    more\nexit status 1", nil},
		{`printf '\r10%%\r90%%\r  \r\nfatal: full\r\n'; exit 1`, 1, "90%\nfatal: full\nexit status 1", nil},
		{"echo ::set a=1; printf '::set b=x\\000y\\n'", exitRefused, "::set b: the value contains a NUL, which no environment can hold", map[string]string{"a": "1"}},
		{"printf '::set b=\\377\\n'; exit 3", 3, "exit status 3\n::set b: the value is not UTF-8", map[string]string{}},
		{"printf '::set b=x\\ry\\r\\n'", 0, "", map[string]string{"b": "x\ry"}},
	} {
		c := &command{line: tt.line, env: []string{"CODE=12"}, grace: time.Minute}
		got := c.run(t.Context())
		want := ending{exit: tt.exit, problem: tt.problem, set: tt.set, tail: tails[tt.line]}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(ending{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.line, diff)
		}
	}
}

// family is a command whose grandchild writes its process ID to a file and
// then sleeps, and the shell's own commands during that time.
func family(t *testing.T, shell string) (line string, grandchild func() int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pid")
	line = fmt.Sprintf(`sh -c 'trap "" TERM; echo $$ > %[1]s.new; mv %[1]s.new %[1]s; while [ -e %[1]s ]; do sleep 0.02; done' & until [ -e %[1]s ]; do sleep 0.01; done; %[2]s`, file, shell)
	return line, func() int {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
}

func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "the grandchild is gone", func() bool {
		// Where nobody reaps orphans it stays, dead.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(stat), ") Z ")
	})
}

func TestATimeoutKillsGrandchildrenThatDoNotListen(t *testing.T) {
	t.Parallel()
	line, grandchild := family(t, "echo waiting; wait")
	c := &command{line: line, timeout: 3 * time.Second, grace: 20 * time.Millisecond}
	got := c.run(t.Context())
	if got.exit != exitTimeout || got.problem != "waiting\ntimed out after 3s" || got.interrupted {
		t.Errorf("it ended as %+v", got)
	}
	gone(t, grandchild())
}

func TestRemainingProcessesEndWithTheirCommand(t *testing.T) {
	t.Parallel()
	line, grandchild := family(t, "exit 0")
	got := (&command{line: line, grace: 20 * time.Millisecond}).run(t.Context())
	if got.exit != 0 || got.problem != "" {
		t.Errorf("it ended as %+v", got)
	}
	gone(t, grandchild())
}

// The timeout ends every process of a command, even one that tried to leave it.
func TestATimeoutKillsProcessesOutsideTheGroup(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		return // only there does the system tell what else belongs to a command
	}
	for name, format := range map[string]string{
		"a separate session":                  "setsid %s & echo waiting; wait",
		"whose parents are gone":              "(setsid %s </dev/null >/dev/null 2>&1 &); echo waiting; sleep 60",
		"with another environment":            "setsid env -i PATH=\"$PATH\" %s & echo waiting; wait",
		"of a command that ends when asked":   "trap 'exit 0' TERM; (setsid %s </dev/null >/dev/null 2>&1 &); echo waiting; while :; do sleep 0.02; done",
		"that starts others while it is told": "setsid sh -c 'trap \"exec %s\" TERM; %[1]s & wait' & echo waiting; wait",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			script := filepath.Join(dir, "stray")
			text := fmt.Sprintf("#!/bin/sh\ntrap '' TERM\ntouch %[1]s/$$\nwhile [ -d %[1]s ]; do sleep 0.02; done\n", dir)
			if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
			c := &command{line: fmt.Sprintf(format, script), timeout: 2 * time.Second, grace: 20 * time.Millisecond}
			if got := c.run(t.Context()); got.exit != exitTimeout || !got.late {
				t.Errorf("it ended as %+v", got)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) < 2 {
				t.Fatalf("nothing left the group: %v", err)
			}
			for _, e := range entries {
				if pid, err := strconv.Atoi(e.Name()); err == nil {
					gone(t, pid)
				}
			}
		})
	}
}

func TestProcessesOutsideTheGroupMayOutliveTheirCommand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	line := fmt.Sprintf("setsid sh -c 'echo $$ > %[1]s.new; mv %[1]s.new %[1]s; exec sleep 60' </dev/null >/dev/null 2>&1 & until [ -e %[1]s ]; do sleep 0.01; done", file)
	if got := (&command{line: line, timeout: time.Minute, grace: time.Minute}).run(t.Context()); got.exit != 0 {
		t.Errorf("it ended as %+v", got)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
		t.Errorf("the service it left running is gone: %v", err)
	}
}

func TestStoppingACommandInterruptsIt(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan ending)
	go func() {
		result <- (&command{line: "echo ok; " + g.command(), timeout: time.Hour, grace: time.Minute}).run(ctx)
	}()
	g.await(t)
	cancel()
	if got := <-result; !got.interrupted || got.exit != 128+int(syscall.SIGTERM) || picture.Cause(got.problem) != "context canceled" {
		t.Errorf("it ended as %+v", got)
	}
	if got := (&command{line: "true", grace: time.Minute}).run(ctx); !got.interrupted || got.problem == "" {
		t.Errorf("one that never began ended as %+v", got)
	}
}

// A person can pause a node as soon as it shows RUNNING, which is before its command
// has started.
func TestACommandIsPausedAtAnyMomentAfterItsBeginning(t *testing.T) {
	for range 20 {
		g, result := newGate(t), make(chan ending, 1)
		c := &command{line: g.command(), grace: time.Minute}
		go func() { result <- c.run(t.Context()) }()
		if err := c.pause(); err != nil {
			t.Error(err)
		}
		c.unpause()
		g.open(t)
		if e := <-result; e.problem != "" {
			t.Errorf("it ends with %+v", e)
		}
		if err := c.pause(); err == nil {
			t.Error("a command that has ended can be paused")
		}
	}
}
