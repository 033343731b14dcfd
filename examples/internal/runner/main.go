// Package runner is the program that examples/runner documents. It is a package so
// that programs with other stores can use it.
package runner

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // -tz works where no zone files are installed

	"github.com/pipestatus/pipestatus/examples/internal/arguments"
	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/examples/internal/hook"
	"github.com/pipestatus/pipestatus/examples/internal/serving"
	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/query/notify"
	"github.com/pipestatus/pipestatus/store"
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
// returns its exit code. It works on files and, unless servers is nil, on
// those.
func Main(servers *database.Servers) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	terminal.OutliveReaders() // a missing display must not end the pipeline
	c := &call{servers: servers, signals: signals, stdout: os.Stdout, stderr: os.Stderr}
	return c.invoke(os.Args[1:])
}

// call is one call of the program.
type call struct {
	servers            *database.Servers
	db, business, task string
	file               string // "" for the bundled definition, or that of the task to resume
	resume, quiet      bool
	json               bool   // print the answer also on a terminal
	failedFirst        bool   // show a container FAILED as soon as anything in it is
	standby            bool   // continue the tasks of dead runners
	owner              string // of leases, "" for a random one
	lease              time.Duration
	grace              time.Duration
	http               string // where to serve while it runs, "" for nowhere
	access             serving.Access
	operate            bool                  // every permitted user may also operate the task
	operators          []string              // these users may
	authenticator      httpapi.Authenticator // made from access, if it serves
	urls               []string              // endpoints for notifications
	secret             string                // of these
	endpoints          []notify.Endpoint     // made from urls and secret
	zone               *time.Location
	signals            <-chan os.Signal
	stdout, stderr     io.Writer
}

// usageError is an invalid call.
type usageError struct{ problem string }

func (e *usageError) Error() string { return e.problem }

// invoke runs the call, which has its streams, signals and servers, and returns
// the exit code.
func (c *call) invoke(args []string) int {
	c.zone = time.Local
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
		fmt.Fprintf(c.stderr, "runner: %s\nRun 'runner -h' for usage.\n", usage.problem)
		return exitUsage
	case errors.As(err, &invalid):
		fmt.Fprintf(c.stderr, "runner: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(c.stderr, "runner: %v\n", explain(err))
	return exitFailed
}

// explain is err in words for people.
func explain(err error) string {
	if errors.Is(err, store.ErrFenced) {
		return "another runner has the task now: the lease of this one was not renewed in time, or the other began it at the same moment"
	}
	if errors.Is(err, store.ErrLocked) {
		return err.Error() + "\nAnother runner, or statusctl, has it open. If the task runs there with -http, 'statusctl -db http://HOST:PORT'\nshows it; otherwise try again when the other one has ended."
	}
	return err.Error()
}

const usageText = `runner runs a pipeline of shell commands and records it in a pipestatus database.

Usage: runner [flags] [FILE.json]

FILE.json is a pipeline tree: id, start_event, end_event, activities, gateways,
flows; 'go doc ./examples/runner' describes it. Without FILE.json a bundled
pipeline runs. Progress goes to standard error, and the task's status, as
get_task_status answers it, to standard output if that is no terminal, or with
-json.

Ctrl-C suspends the pipeline; a second one stops the commands that are running.
-resume continues after that, after a failure, and after a crash.

With -http it serves get_task_status, events and a status page while it runs, and
after the pipeline's end until Ctrl-C, to those whom -app with -token or
-trusted-app, or -no-auth, let in. With -operate they may also pause, resume,
revoke, retry and skip, and the runner waits for them when the pipeline fails.
Commands of statusctl that only read work on it: statusctl list -db http://HOST:PORT.

With -notify each transition is delivered to an HTTP endpoint, also after a crash: the
file NAME.notify-… keeps how far it has come.

Flags:
`

func (c *call) parse(args []string) (help bool, err error) {
	flags := flag.NewFlagSet("runner", flag.ContinueOnError)
	flags.StringVar(&c.db, "db", "", "database `FILE` (default: a new one in a temporary directory)")
	flags.StringVar(&c.db, "store", "", "the same as -db; a program for servers takes the `URL` of a database there")
	flags.BoolVar(&c.resume, "resume", false, "continue a task recorded in the database")
	if c.servers != nil {
		c.bindShared(flags)
	}
	flags.StringVar(&c.business, "biz", "1", "business `ID` of the task")
	flags.StringVar(&c.task, "task", "", "task `ID` (default: from the time; with -resume: the unfinished one)")
	flags.DurationVar(&c.grace, "grace", 5*time.Second, "how long commands may continue after Ctrl-C")
	flags.BoolVar(&c.quiet, "quiet", false, "show no progress")
	flags.BoolVar(&c.json, "json", false, "print the task's status in the end, also on a terminal")
	flags.BoolVar(&c.failedFirst, "failed-first", false, "show a container FAILED as soon as anything in it is, even while the rest runs")
	flags.Func("tz", "time `ZONE` of the times in the answer, such as Asia/Shanghai (default: local)", func(name string) (err error) {
		c.zone, err = time.LoadLocation(name)
		return err
	})
	flags.StringVar(&c.http, "http", "", "serve at `HOST:PORT`, port 0 is any that is free, or at unix:///SOCKET, while the pipeline runs and until Ctrl-C")
	c.access.Bind(flags)
	flags.BoolVar(&c.operate, "operate", false, "with -http, let every permitted caller operate the task: pause, resume, revoke, retry, skip")
	flags.Func("operator", "with -http, let the `USER` operate the task (repeatable)", func(user string) error {
		if user == "" {
			return errors.New("want USER")
		}
		c.operators = append(c.operators, user)
		return nil
	})
	flags.Func("notify", "deliver transitions to the endpoint at `URL`, as CloudEvents (repeatable)", func(url string) error {
		if slices.Contains(c.urls, url) {
			return errors.New("the endpoint comes twice")
		}
		c.urls = append(c.urls, url)
		return nil
	})
	flags.StringVar(&c.secret, "notify-secret", "", hook.Usage)
	files, err := arguments.Parse(flags, args, true)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(c.stdout, usageText)
		flags.SetOutput(c.stdout)
		flags.PrintDefaults()
		if c.servers != nil {
			fmt.Fprintf(c.stdout, "\n%s\n", strings.TrimSpace(c.servers.Usage))
		}
		fmt.Fprint(c.stdout, "\nExit code: 0 finished, 1 failed, 2 wrong usage or definition, 130 suspended.\n")
		return true, nil
	case err != nil:
		return false, &usageError{err.Error()}
	}
	switch {
	case len(files) > 1:
		return false, &usageError{"one definition at a time: " + strings.Join(files, " ")}
	case c.resume && c.db == "":
		return false, &usageError{"-resume needs -db"}
	case (c.standby || c.owner != "" || c.lease != 0) && !database.OnServer(c.db):
		return false, &usageError{"-standby, -owner and -lease need a database on a server, see -db"}
	case c.standby && (c.resume || c.task != "" || len(files) > 0):
		return false, &usageError{"-standby continues tasks of other runners: it takes no definition, -task or -resume"}
	case c.lease < 0:
		return false, &usageError{"-lease is negative"}
	case c.http == "" && c.access.Given():
		return false, &usageError{"-app, -trusted-app, -token, -access-token, -host and -no-auth need -http"}
	}
	switch {
	case c.http == "" && c.operable():
		return false, &usageError{"-operate and -operator need -http"}
	case c.operate && len(c.operators) > 0:
		return false, &usageError{"-operate lets every permitted caller operate the task; -operator has no effect with it"}
	case c.access.Open() && len(c.operators) > 0:
		return false, &usageError{"with -no-auth nobody is a USER: give -operate to let everybody operate the task"}
	}
	if err := c.parseEndpoints(); err != nil {
		return false, &usageError{err.Error()}
	}
	if c.http != "" {
		if c.authenticator, err = c.access.Authenticator(); err != nil {
			return false, &usageError{err.Error()}
		}
	}
	if len(files) > 0 {
		c.file = files[0]
	}
	c.resume = c.resume || c.standby
	return false, nil
}

// parseEndpoints makes endpoints of the flags for notifications.
func (c *call) parseEndpoints() error {
	switch {
	case len(c.urls) == 0 && c.secret != "":
		return errors.New("-notify-secret needs -notify")
	case len(c.urls) > 0 && database.OnServer(c.db):
		return errors.New("-notify is for a database file; for one on a server there is statusctl notify -follow")
	}
	for _, url := range c.urls {
		to, err := hook.Endpoint(url, c.secret)
		if err == nil {
			err = to.Check()
		}
		if err != nil {
			return fmt.Errorf("-notify: %w", err)
		}
		c.endpoints = append(c.endpoints, to)
	}
	return nil
}

// bindShared declares the flags of programs whose database others use too.
func (c *call) bindShared(flags *flag.FlagSet) {
	flags.BoolVar(&c.standby, "standby", false, "run what other runners of the business leave when they die, until Ctrl-C")
	flags.DurationVar(&c.lease, "lease", 0, fmt.Sprintf("how long a dead runner's tasks stay its own (default %v)", c.servers.Lease))
	flags.StringVar(&c.owner, "owner", "", "`NAME` of this runner alone: started again under it, it need not wait for its leases to run out")
}
