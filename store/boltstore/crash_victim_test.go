package boltstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// The test binary runs itself as the process that is killed.
const (
	victimEnv  = "PIPESTATUS_VICTIM" // what to do
	victimFile = "PIPESTATUS_VICTIM_FILE"
	victimName = "PIPESTATUS_VICTIM_NAME" // begins the names of its tasks
)

func TestMain(m *testing.M) {
	if job := os.Getenv(victimEnv); job != "" {
		fmt.Fprintln(os.Stderr, victim(job, os.Getenv(victimFile), os.Getenv(victimName)))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// tiny makes every part of the write path happen frequently.
var tiny = boltstore.Options{OverlayTransitions: 48, FeedTransitions: 300, LockTimeout: time.Minute}

// sizes has the sizes of outputs, by task number: sizes around those of pages
// and blocks, up to the default limit.
var sizes = []int{0, 1, 1 << 10, 4095, 4096, 4097, state.DefaultDataBytes}

// jobs has the other kinds of work of a victim.
var jobs = map[string]func(path string) error{"migrate": migrate}

// openBoth opens a file and an engine on it.
func openBoth(path string, o *boltstore.Options) (*boltstore.Store, *engine.Engine, error) {
	s, err := boltstore.Open(path, o)
	if err != nil {
		return nil, nil, err
	}
	e, err := engine.Open(context.Background(), s, &engine.Options{Limits: state.Limits{DataBytes: state.MaxDataBytes}})
	return s, e, err
}

// victim works until it is killed, and reports acknowledged work on its
// standard output: "ack SEQUENCE NODE", and for the deletion of a task "going
// TASK" before and "gone TASK" after it. It returns only on errors.
func victim(job, path, name string) error {
	if job, ok := jobs[job]; ok {
		return job(path)
	}
	s, e, err := openBoth(path, &tiny)
	if err != nil {
		return err
	}
	fmt.Println("open")
	// The runtime ends a process whose goroutines are all blocked, such as one
	// that only opens the file.
	defer time.AfterFunc(time.Hour, func() {}).Stop()
	failed := make(chan error)
	say := func(words ...any) { fmt.Println(words...) }
	if job == "compact" {
		go func() {
			for err == nil {
				err = s.Compact(context.Background())
			}
			failed <- err
		}()
	}
	for w := range 6 {
		go func() {
			switch job {
			case "write", "compact", "large":
				for n := 0; ; n++ {
					size := sizes[n%len(sizes)]
					if job == "large" && w == 0 {
						size = state.MaxDataBytes >> (n % 6)
					}
					if err := runTaskOf(e, fmt.Sprintf("%s-%d-%d", name, w, n), size, n%3 == 1, say); err != nil {
						failed <- err
						return
					}
				}
			case "delete":
				for n := w; ; n += 6 {
					if err := deleteTask(e, fmt.Sprintf("%s-0-%d", name, n), say); err != nil {
						failed <- err
						return
					}
				}
			}
		}()
	}
	return <-failed
}

func deleteTask(e *engine.Engine, task string, say func(...any)) error {
	say("going", task)
	if err := e.Delete(context.Background(), "2", task); errors.Is(err, state.ErrNotFound) {
		return nil // by an earlier victim
	} else if err != nil {
		return err
	}
	say("gone", task)
	return nil
}

// runTask runs a task with small data from creation to end.
func runTask(e *engine.Engine, task string, say func(...any)) error {
	return runTaskOf(e, task, 16, false, say)
}

// runTaskOf runs a task from creation to end, with some nodes in batches,
// others step by step, and with outputs of a size. It deletes some tasks.
func runTaskOf(e *engine.Engine, task string, size int, deleted bool, say func(...any)) error {
	record := func(ops ...engine.Op) error {
		results, err := e.Record(context.Background(), ops...)
		if err != nil {
			return fmt.Errorf("task %s: %w", task, err)
		}
		for _, r := range results {
			say("ack", r.Sequence, r.Node)
		}
		return nil
	}
	whole, node := task+".whole", task+".node"
	say("size", size, task)
	steps := [][]engine.Op{
		{engine.Create("2", task, engine.ID(task), engine.Input(dataOf(task, "input", len(task))))},
		{engine.Start(task)},
		{engine.Declare(task, state.ServiceActivity, engine.ID(node))},
		{engine.Start(node, engine.Input([]byte{}))},
		{engine.Fail(node, "exit status 1", engine.Output(dataOf(task, "failed", size)))},
		{engine.Declare(task, state.ServiceActivity, engine.ID(whole)), engine.Start(whole), engine.Finish(whole)},
		{engine.Retry(node)},
		{engine.Start(node)},
		{engine.Finish(node, engine.Output(dataOf(task, "finished", size))), engine.Finish(task)},
	}
	for _, ops := range steps {
		if err := record(ops...); err != nil {
			return err
		}
	}
	if !deleted {
		return nil
	}
	return deleteTask(e, task, say)
}

// dataOf returns data that is unique to a task.
func dataOf(task, what string, size int) []byte {
	text := []byte(task + " " + what + " ")
	return bytes.Repeat(text, size/len(text)+1)[:size]
}

// dataWith returns the data that a transition of a task must have.
func dataWith(tr *state.Transition, size int) *state.Data {
	task, isNode := tr.Task.Task, strings.HasSuffix(tr.Node(), ".node")
	switch {
	case tr.Op == state.Create:
		return state.NewData(dataOf(task, "input", len(task)))
	case tr.Op == state.Start && isNode && tr.Changes[0].Number() == 1:
		return state.NewData([]byte{})
	case tr.Op == state.Fail:
		return state.NewData(dataOf(task, "failed", size))
	case tr.Op == state.Finish && isNode:
		return state.NewData(dataOf(task, "finished", size))
	}
	return nil
}
