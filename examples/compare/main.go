// Command compare does the same work with this library and with libraries that a Go
// program could embed instead, all on one disk, each in its durable setting.
//
//	cd examples/compare && go run . -dir /data
//
// The work is the recording of a workflow runner: start and finish nodes, by one
// writer and by 32, and answer the status of a task of 10, 100 and 1,000 nodes, idle
// and while 32 writers are at work. The contenders take turns in each round. The
// table shows the medians, and the disk's own rate of 4 KiB appends with fdatasync.
//
// The contenders are of different kinds: a workflow engine also runs the code, and a
// job queue hands jobs to workers. Below the table, a line for each describes the
// work for one node.
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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// errUsage says that the flags are wrong, which has been reported.
var errUsage = errors.New("usage")

// config holds the values of the flags.
type config struct {
	dir    string
	json   bool
	rounds int
	window time.Duration // of one measurement
	nodes  int           // of the tasks that writers record
	sizes  []int         // nodes of the tasks whose status is asked for
}

// writers are how many start and finish nodes at a time.
var writers = []int{1, 32}

func parse(args []string, errOut io.Writer) (*config, error) {
	c := &config{nodes: 20, sizes: []int{10, 100, 1000}}
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&c.dir, "dir", ".", "directory on a real disk; a subdirectory is made and removed")
	f.BoolVar(&c.json, "json", false, "print one JSON object a line instead of a table")
	f.IntVar(&c.rounds, "rounds", 5, "interleaved rounds, of which the medians are shown")
	f.DurationVar(&c.window, "time", 2*time.Second, "length of one measurement")
	quick := f.Bool("quick", false, "one tiny round, to see that everything works; its numbers mean nothing")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, errUsage
	}
	if *quick {
		c.rounds, c.window, c.nodes, c.sizes = 1, 20*time.Millisecond, 2, []int{10, 100}
	}
	if f.NArg() > 0 || c.rounds < 1 || c.window <= 0 {
		_, _ = fmt.Fprintln(errOut, "compare: takes no arguments; -rounds and -time are positive")
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
	dir, err := os.MkdirTemp(c.dir, "compare-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	rows, err := measure(ctx, c, dir, newProgress(errOut))
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(out, rows)
	}
	return printTable(out, c, rows)
}
