//go:build unix

// Package pgserver runs the programs of this module in tests: as processes, on
// databases of a PostgreSQL server that lives as long as the tests do.
package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipestatus/pipestatus/store/pgstore/pgtest"
)

// asProgram in the environment makes the test binary run the program, so that tests
// can kill it.
const asProgram = "PIPESTATUS_TEST_AS_PROGRAM"

var (
	server    *pgtest.Server
	databases atomic.Int64
)

// Main is the body of TestMain: it starts a server and runs the tests, or runs
// program if a test started this process.
func Main(m *testing.M, program func()) int {
	if os.Getenv(asProgram) != "" {
		program()
		return 0
	}
	var err error
	server, err = pgtest.New("fsync=off", "synchronous_commit=off", "full_page_writes=off")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Remove()
	fmt.Println("PostgreSQL", server.Version)
	return m.Run()
}

// Database makes an empty database and returns its URL.
func Database(t *testing.T) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	name := fmt.Sprintf("test%d", databases.Add(1))
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(server.URL(), "/postgres") + "/" + name
}

// Process is the program as a separate process.
type Process struct {
	t      *testing.T
	args   []string
	cmd    *exec.Cmd
	out    buffer
	err    buffer
	exited chan struct{}
}

// buffer is written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Start starts the program. It is killed at the end of the test.
func Start(t *testing.T, stdin string, args ...string) *Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{t: t, args: args, cmd: exec.Command(self, args...), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = strings.NewReader(stdin), &p.out, &p.err
	// Processes that its commands leave running may keep its output open.
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code tells
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		<-p.exited
		if t.Failed() {
			t.Logf("%s\n%s%s", strings.Join(args, " "), p.out.String(), p.err.String())
		}
	})
	return p
}

// Run runs the program to its end and expects success.
func Run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	p := Start(t, stdin, args...)
	if code := p.Exit(); code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), code, p.Stdout(), p.Stderr())
	}
	return p.Stdout()
}

// Signal sends a signal, if the process has not ended.
func (p *Process) Signal(s os.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
}

// Exit waits for the end and returns the exit code, -1 if a signal ended it.
func (p *Process) Exit() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("%s does not end:\n%s%s", strings.Join(p.args, " "), p.Stdout(), p.Stderr())
		return 0
	}
}

// Stdout is the standard output so far.
func (p *Process) Stdout() string { return p.out.String() }

// Stderr is the standard error output so far.
func (p *Process) Stderr() string { return p.err.String() }

// AwaitStderr waits until it has printed a text to standard error.
func (p *Process) AwaitStderr(text string) {
	p.t.Helper()
	Eventually(p.t, "it says "+text, func() bool { return strings.Contains(p.Stderr(), text) })
}

// Eventually waits until a condition holds.
func Eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
