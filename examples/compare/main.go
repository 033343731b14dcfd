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
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
)

func main() { os.Exit(measuring.Main("compare", run)) }

// config holds the values of the flags.
type config struct {
	measuring.Config
	nodes int   // of the tasks that writers record
	sizes []int // nodes of the tasks whose status is asked for
}

// writers are how many start and finish nodes at a time.
var writers = []int{1, 32}

func parse(args []string, errOut io.Writer) (*config, error) {
	c := &config{nodes: 20, sizes: []int{10, 100, 1000}}
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(errOut)
	if err := c.Parse(f, args); err != nil {
		return nil, err
	}
	if c.Quick {
		c.Rounds, c.Window, c.nodes, c.sizes = 1, 20*time.Millisecond, 2, []int{10, 100}
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
	dir, err := os.MkdirTemp(c.Dir, "compare-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	rows, err := measure(ctx, c, dir, measuring.NewProgress(errOut))
	if err != nil {
		return err
	}
	if c.JSON {
		return measuring.PrintJSON(out, rows)
	}
	return printTable(out, c, rows)
}
