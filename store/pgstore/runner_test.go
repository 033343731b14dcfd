//go:build unix

package pgstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// runnerEnv is the connection string that makes this program a runner.
const runnerEnv = "PGSTORE_TEST_RUNNER"

// runner works on tasks until its input ends. It prints a line for each
// acknowledged operation: sequence, operation, node. Its name is that of its
// process.
func runner(conn string) int {
	ctx := context.Background()
	s, err := pgstore.Open(ctx, conn, &pgstore.Options{Recover: time.Minute, Lease: 2 * time.Second})
	if err != nil {
		fmt.Fprintln(os.Stderr, "open:", err)
		return 1
	}
	e, err := engine.Open(ctx, s, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		return 1
	}
	working, stop := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var wg sync.WaitGroup
	var mu sync.Mutex
	failures := 0
	for worker := range 4 {
		wg.Go(func() {
			for i := 0; working.Err() == nil; i++ {
				if err := runTask(ctx, e, fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i), &mu); err != nil {
					fmt.Fprintln(os.Stderr, err)
					mu.Lock()
					failures++
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(e.Close(), s.Close()); err != nil || failures > 0 {
		fmt.Fprintln(os.Stderr, "close:", err)
		return 1
	}
	return 0
}

// runTask runs one task from its beginning to its end.
func runTask(ctx context.Context, e *engine.Engine, task string, mu *sync.Mutex) error {
	node := task + ".n"
	steps := []struct {
		kind state.OpKind
		op   engine.Op
	}{
		{state.Create, engine.Create("2", task, engine.ID(task))},
		{state.Start, engine.Start(task)},
		{state.Declare, engine.Declare(task, state.ServiceActivity, engine.ID(node))},
		{state.Start, engine.Start(node)},
		{state.Finish, engine.Finish(node)},
		{state.Finish, engine.Finish(task)},
	}
	for _, step := range steps {
		results, err := e.Record(ctx, step.op)
		if err != nil {
			return fmt.Errorf("%s of task %s: %w", step.kind, task, err)
		}
		mu.Lock()
		fmt.Println(results[0].Sequence, step.kind, results[0].Node)
		mu.Unlock()
	}
	return nil
}

// process is a started runner.
type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	stderr  strings.Builder
	reading sync.WaitGroup

	mu       sync.Mutex // protects answered
	answered []answer
}

// answer is an acknowledgment to a runner.
type answer struct {
	sequence uint64
	op, node string
}

func startRunner(t *testing.T, conn string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(program)}
	p.cmd.Env = append(os.Environ(), runnerEnv+"="+conn)
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.reading.Go(func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			var a answer
			if n, _ := fmt.Sscan(lines.Text(), &a.sequence, &a.op, &a.node); n == 3 {
				p.mu.Lock()
				p.answered = append(p.answered, a)
				p.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *process) answers() []answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clip(p.answered)
}

// wait waits for the end of a runner and its output.
func (p *process) wait() error {
	p.reading.Wait()
	return p.cmd.Wait()
}

// verify compares the runners' acknowledgments with the feed: each is there
// exactly once.
func verify(t *testing.T, s store.Reader, runners ...*process) {
	t.Helper()
	all := feed(t, s, 0)
	made := make(map[answer]bool)
	for _, tr := range all {
		a := answer{op: tr.Op.String(), node: tr.Node()}
		if made[a] {
			t.Errorf("%s of node %s was made twice", a.op, a.node)
		}
		made[a] = true
	}
	for i, p := range runners {
		for _, a := range p.answers() {
			if a.sequence > uint64(len(all)) {
				t.Fatalf("runner %d was told of sequence %d, the feed ends at %d", i, a.sequence, len(all))
			}
			if tr := all[a.sequence-1]; tr.Op.String() != a.op || tr.Node() != a.node {
				t.Errorf("sequence %d is %s of node %s, runner %d was told %s of node %s",
					a.sequence, tr.Op, tr.Node(), i, a.op, a.node)
			}
		}
	}
}
