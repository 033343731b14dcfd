// Command bench measures every figure that has a goal, together with its
// yardstick, in one run of a few minutes.
//
//	go run ./examples/bench -dir /data          # 100,000 stored tasks
//	go run ./examples/bench -full               # 1,000,000
//	go run ./examples/bench -run 'writers|open' # some figures only
//
// Each figure and its yardstick are measured in the same run. They take turns, five
// rounds by default, so that other load on the machine affects both, and the
// medians count. The data must be on a real disk; bench prints which one it used.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == childName {
		os.Exit(child(os.Args[2:]))
	}
	os.Exit(measuring.Main("bench", run))
}

// config holds the values of the flags.
type config struct {
	measuring.Config
	only  *regexp.Regexp
	tmpfs bool
	tasks int    // stored
	kept  string // directory of the stored tasks from run to run
	sizes
}

// sizes are the sizes that the quick form reduces.
type sizes struct {
	writers    []int         // at most these many at a time
	trees      []int         // nodes of the trees for snapshots
	few        int           // tasks of the store that the large one is compared with
	unfinished int           // tasks while the store is opened
	journaled  int           // transitions before a process is killed
	liveTrees  int           // of 1,000 nodes
	finished   int           // tasks whose disk is measured
	polling    time.Duration // of one measurement that reads 10 times a second
}

func parse(args []string, errOut io.Writer) (*config, error) {
	c := &config{sizes: sizes{
		writers: []int{1, 32, 256, 1024}, trees: []int{100, 1000, 10_000}, few: 1000,
		unfinished: 1000, journaled: 70_000, liveTrees: 200, finished: 5000, polling: 10 * time.Second,
	}}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errOut)
	only := f.String("run", "", "measure only the figures that match this regular expression")
	f.IntVar(&c.tasks, "tasks", 100_000, "stored tasks, of 20 nodes each")
	f.StringVar(&c.kept, "keep", "", "directory on a real disk that keeps the stored tasks for the next run")
	full := f.Bool("full", false, "1,000,000 stored tasks")
	f.BoolVar(&c.tmpfs, "tmpfs", false, "measure even if the directory is in memory")
	if err := c.Parse(f, args); err != nil {
		return nil, err
	}
	var err error
	if c.only, err = regexp.Compile(*only); err != nil {
		_, _ = fmt.Fprintln(errOut, "bench: -run:", err)
		return nil, measuring.ErrUsage
	}
	if *full {
		c.tasks = 1_000_000
	}
	if c.Quick {
		c.Rounds, c.Window, c.tasks = 1, 50*time.Millisecond, 300
		c.sizes = sizes{
			writers: []int{1, 32, 256, 1024}, trees: []int{10, 100, 1000}, few: 100,
			unfinished: 50, journaled: 500, liveTrees: 5, finished: 50, polling: 300 * time.Millisecond,
		}
	}
	if c.tasks < 1 {
		_, _ = fmt.Fprintln(errOut, "bench: -tasks is positive")
		return nil, measuring.ErrUsage
	}
	return c, nil
}

func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	c, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return err
	}
	if c.kept != "" {
		if err := os.MkdirAll(c.kept, 0o700); err != nil {
			return err
		}
	}
	place, err := placeOf(c.Dir)
	if err != nil {
		return err
	}
	if place.inMemory() && !c.tmpfs {
		return fmt.Errorf("%s is on %s, in memory: nothing there is durable; name a directory on a disk with -dir", c.Dir, place.fs)
	}
	dir, err := os.MkdirTemp(c.Dir, "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{config: c, dir: dir, progress: measuring.NewProgress(errOut)}
	heading := out
	if c.JSON {
		heading = errOut
	}
	_, _ = fmt.Fprintln(heading, b.heading(place))
	err = b.all(ctx)
	b.progress.Clear()
	if c.JSON {
		return errors.Join(err, measuring.PrintJSON(out, b.rows))
	}
	return errors.Join(err, printTable(out, b.rows))
}
