// Package runner is the program that examples/runner documents. Its code is
// here so that programs with other stores can be made of it.
package runner

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // -tz works where no zone files are installed

	"github.com/pipestatus/pipestatus/examples/internal/serving"
	"github.com/pipestatus/pipestatus/query/httpapi"
)

// The exit codes.
const (
	exitFinished  = 0
	exitFailed    = 1
	exitUsage     = 2
	exitSuspended = 130
)

// bundled is the definition that runs when none is given.
//
//go:embed bundled.json
var bundled []byte

// Main runs the program with the process's arguments, signals and streams, and
// returns its exit code.
func Main() int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	return invoke(os.Args[1:], signals, os.Stdout, os.Stderr)
}

// call is one call of the program.
type call struct {
	db, business, task string
	file               string // "" for the bundled definition, or that of the task to resume
	resume, quiet      bool
	grace              time.Duration
	http               string // where to serve while it runs, "" for nowhere
	access             serving.Access
	authenticator      httpapi.Authenticator // what access comes to, if it serves
	zone               *time.Location
	signals            <-chan os.Signal
	stdout, stderr     io.Writer
}

// usageError is a call that makes no sense.
type usageError struct{ problem string }

func (e *usageError) Error() string { return e.problem }

// invoke runs the program and returns its exit code.
func invoke(args []string, signals <-chan os.Signal, stdout, stderr io.Writer) int {
	c := &call{zone: time.Local, signals: signals, stdout: stdout, stderr: stderr}
	help, err := c.parse(args)
	if help {
		return exitFinished
	}
	code := exitFailed
	if err == nil {
		code, err = c.execute()
	}
	var usage *usageError
	var invalid *invalidError
	switch {
	case err == nil:
		return code
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "runner: %s\nRun 'runner -h' for usage.\n", usage.problem)
		return exitUsage
	case errors.As(err, &invalid):
		fmt.Fprintf(stderr, "runner: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "runner: %v\n", err)
	return exitFailed
}

const usageText = `runner runs a pipeline of shell commands and records it in a pipestatus database.

Usage: runner [flags] [FILE.json]

FILE.json is a pipeline tree: id, start_event, end_event, activities, gateways,
flows; 'go doc ./examples/runner' describes it. Without FILE.json a bundled
pipeline runs. Progress goes to standard error, and the task's status, as
get_task_status answers it, to standard output.

Ctrl-C suspends the pipeline; a second one stops the commands that are running.
-resume goes on after that, after a failure, and after a crash.

With -http it serves get_task_status, events and a status page while it runs, to
those whom -app with -token or -trusted-app, or -no-auth, let in.

Flags:
`

func (c *call) parse(args []string) (help bool, err error) {
	flags := flag.NewFlagSet("runner", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are printed by invoke
	flags.StringVar(&c.db, "db", "", "database `FILE` (default: a new one in a temporary directory)")
	flags.BoolVar(&c.resume, "resume", false, "go on with a task recorded in the database")
	flags.StringVar(&c.business, "biz", "1", "business `ID` of the task")
	flags.StringVar(&c.task, "task", "", "task `ID` (default: made of the time; with -resume: the one that is unfinished)")
	flags.DurationVar(&c.grace, "grace", 5*time.Second, "how long commands may go on after Ctrl-C")
	flags.BoolVar(&c.quiet, "quiet", false, "show no progress")
	flags.Func("tz", "time `ZONE` of the times in the answer, such as Asia/Shanghai (default: local)", func(name string) (err error) {
		c.zone, err = time.LoadLocation(name)
		return err
	})
	flags.StringVar(&c.http, "http", "", "serve at `HOST:PORT` while the pipeline runs; port 0 is any that is free")
	c.access.Bind(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(c.stdout, usageText)
		flags.SetOutput(c.stdout)
		flags.PrintDefaults()
		fmt.Fprint(c.stdout, "\nExit code: 0 finished, 1 failed, 2 wrong usage or definition, 130 suspended.\n")
		return true, nil
	case err != nil:
		return false, &usageError{err.Error()}
	}
	switch {
	case flags.NArg() > 1:
		return false, &usageError{"one definition at a time, and flags before it: " + strings.Join(flags.Args(), " ")}
	case c.resume && c.db == "":
		return false, &usageError{"-resume needs -db"}
	case c.http == "" && c.access.Given():
		return false, &usageError{"-app, -trusted-app, -token, -host and -no-auth need -http"}
	}
	if c.http != "" {
		if c.authenticator, err = c.access.Authenticator(); err != nil {
			return false, &usageError{err.Error()}
		}
	}
	c.file = flags.Arg(0)
	return false, nil
}
