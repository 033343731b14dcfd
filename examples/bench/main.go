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
	"os/signal"
	"path/filepath"
	"regexp"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == childName {
		os.Exit(child(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// errUsage says that the flags are wrong, which has been reported.
var errUsage = errors.New("usage")

// config holds the values of the flags.
type config struct {
	dir    string
	only   *regexp.Regexp
	json   bool
	tmpfs  bool
	rounds int
	window time.Duration // of one measurement
	tasks  int           // stored
	kept   string        // directory of the stored tasks from run to run
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
	f.StringVar(&c.dir, "dir", ".", "directory on a real disk; a subdirectory is made and removed")
	only := f.String("run", "", "measure only the figures that match this regular expression")
	f.BoolVar(&c.json, "json", false, "print one JSON object a line instead of a table")
	f.IntVar(&c.rounds, "rounds", 5, "interleaved rounds, of which the medians are shown")
	f.DurationVar(&c.window, "time", 2*time.Second, "length of one measurement")
	f.IntVar(&c.tasks, "tasks", 100_000, "stored tasks, of 20 nodes each")
	f.StringVar(&c.kept, "keep", "", "directory on a real disk that keeps the stored tasks for the next run")
	full := f.Bool("full", false, "1,000,000 stored tasks")
	quick := f.Bool("quick", false, "one tiny round, to see that everything works; its numbers mean nothing")
	f.BoolVar(&c.tmpfs, "tmpfs", false, "measure even if the directory is in memory")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, errUsage
	}
	var err error
	if c.only, err = regexp.Compile(*only); err != nil {
		_, _ = fmt.Fprintln(errOut, "bench: -run:", err)
		return nil, errUsage
	}
	if *full {
		c.tasks = 1_000_000
	}
	if *quick {
		c.rounds, c.window, c.tasks = 1, 50*time.Millisecond, 300
		c.sizes = sizes{
			writers: []int{1, 32, 256, 1024}, trees: []int{10, 100, 1000}, few: 100,
			unfinished: 50, journaled: 500, liveTrees: 5, finished: 50, polling: 300 * time.Millisecond,
		}
	}
	if f.NArg() > 0 || c.rounds < 1 || c.tasks < 1 || c.window <= 0 {
		_, _ = fmt.Fprintln(errOut, "bench: takes no arguments; -rounds, -tasks and -time are positive")
		return nil, errUsage
	}
	return c, nil
}

func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	c, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if c.dir, err = filepath.Abs(c.dir); err != nil {
		return err
	}
	if c.kept != "" {
		if err := os.MkdirAll(c.kept, 0o700); err != nil {
			return err
		}
	}
	place, err := placeOf(c.dir)
	if err != nil {
		return err
	}
	if place.inMemory() && !c.tmpfs {
		return fmt.Errorf("%s is on %s, in memory: nothing there is durable; name a directory on a disk with -dir", c.dir, place.fs)
	}
	dir, err := os.MkdirTemp(c.dir, "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{config: c, dir: dir, progress: newProgress(errOut)}
	heading := out
	if c.json {
		heading = errOut
	}
	_, _ = fmt.Fprintln(heading, b.heading(place))
	err = b.all(ctx)
	b.progress.clear()
	if c.json {
		return errors.Join(err, printJSON(out, b.rows))
	}
	return errors.Join(err, printTable(out, b.rows))
}
