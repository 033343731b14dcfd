package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/measuring"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// openings are the ways in which a store was left before it is opened.
var openings = []string{"open after a clean close", "open after kill -9"}

// childName is the first argument of a process that records until it is killed.
const childName = "record-until-killed"

// measureOpen opens a store of many tasks, some of them unfinished: after a process
// was killed while it recorded, with the largest journal that can remain, and after
// a clean close.
func (b *bench) measureOpen(ctx context.Context, path string) error {
	r, err := openRecorder(ctx, path, nil, nil)
	if err != nil {
		return err
	}
	for i := 0; i < b.unfinished && err == nil; i++ {
		root := newID()
		_, err = r.Record(ctx, engine.Create(business, fmt.Sprintf("unfinished-%d", i), engine.ID(root)), engine.Start(root))
	}
	if err := errors.Join(err, r.close()); err != nil {
		return err
	}
	var clean, killed measuring.Series
	err = b.interleave(ctx,
		step{openings[1], func(ctx context.Context) error {
			if err := b.recordAndKill(ctx, path); err != nil {
				return err
			}
			took, err := timedOpen(ctx, path)
			killed.Add(took.Seconds())
			return err
		}},
		step{openings[0], func(ctx context.Context) error {
			took, err := timedOpen(ctx, path)
			clean.Add(took.Seconds())
			return err
		}},
	)
	if err != nil {
		return err
	}
	note := "%s tasks unfinished, page cache warm"
	b.add(measured(b.withStored(openings[0]), clean.Median(), "s").goal("≤ 0.2 s", clean.Median() <= 0.2).
		note(note, measuring.Count(b.unfinished)))
	b.add(measured(b.withStored(openings[1]), killed.Median(), "s").goal("≤ 1 s", killed.Median() <= 1).
		note(note, measuring.Count(b.unfinished)))
	return nil
}

// timedOpen opens a store with its engine and closes both.
func timedOpen(ctx context.Context, path string) (time.Duration, error) {
	begin := time.Now()
	r, err := openRecorder(ctx, path, nil, nil)
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	return took, r.close()
}

// recordAndKill starts a process that records on the unfinished tasks, and kills it
// while it is still recording, once it has recorded enough.
func (b *bench) recordAndKill(ctx context.Context, path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, childName, path, strconv.Itoa(b.journaled))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return errors.Join(fmt.Errorf("the recording process said %q: %w", line, err), cmd.Wait())
	}
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	if err := cmd.Wait(); cmd.ProcessState.Success() {
		return errors.New("the recording process ended by itself")
	} else if exit := new(exec.ExitError); !errors.As(err, &exit) {
		return err
	}
	return nil
}

// child is the process to be killed: args are the file and how many
// transitions to record before it says so.
func child(args []string) (exit int) {
	if err := recordForEver(context.Background(), args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	return 1
}

func recordForEver(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("only the benchmark uses this command")
	}
	enough, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	r, err := openRecorder(ctx, args[0], nil, nil)
	if err != nil {
		return err
	}
	page, err := r.List(ctx, store.ListQuery{Unfinished: true, Limit: 1000})
	if err != nil {
		return err
	}
	var recorded atomic.Int64
	errs := make([]error, len(page.Tasks))
	var wg sync.WaitGroup
	for i := range page.Tasks {
		wg.Go(func() { errs[i] = record(ctx, r.Engine, page.Tasks[i].Root, &recorded, enough) })
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// record records on a task and says when there is enough of all tasks.
func record(ctx context.Context, e *engine.Engine, root string, recorded *atomic.Int64, enough int64) error {
	for {
		leaf, err := e.Enter(ctx, root, state.ServiceActivity) // two transitions
		if err != nil {
			return err
		}
		if _, err := e.Finish(ctx, leaf.Node); err != nil {
			return err
		}
		if n := recorded.Add(3); n >= enough && n < enough+3 {
			fmt.Println("enough")
		}
	}
}
