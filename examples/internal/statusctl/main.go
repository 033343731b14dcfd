// Package statusctl is the program that examples/statusctl documents. It is a
// package so that programs with other stores can use it.
package statusctl

import (
	"context"
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

	"github.com/pipestatus/pipestatus/examples/internal/arguments"
	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/examples/internal/terminal"
)

// Main runs the program with the process's arguments, signals and streams, and
// returns its exit code. It works on files and on the given servers; servers may be
// nil.
func Main(servers *database.Servers) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	terminal.OutliveReaders()
	t := &tool{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, servers: servers}
	return t.call(ctx, os.Args[1:])
}

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// tool is one call of statusctl: its streams and the flags of every command.
type tool struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	servers        *database.Servers
	db, auth       string
	json           bool
	zone           *time.Location
	now            func() time.Time
}

// command is one of the tool's commands.
type command struct {
	name    string
	args    string // as usage shows them
	summary string
	detail  string // additional text of -h
	// least and most bound the number of arguments.
	least, most int
	// run runs a command without flags of its own. Of others, bind declares these and
	// returns the function that runs it after they are parsed.
	run  action
	bind func(*flag.FlagSet) action
}

// action runs a command with its arguments.
type action func(context.Context, *tool, []string) error

// declare declares the command's own flags and returns what runs it afterwards.
func (c *command) declare(flags *flag.FlagSet) action {
	if c.bind == nil {
		return c.run
	}
	return c.bind(flags)
}

// commands are shown by usage in this order.
func commands() []command {
	return []command{
		applyCommand, getCommand, listCommand, treeCommand, graphCommand, whyCommand, topCommand, diffCommand, historyCommand, timelineCommand, serveCommand,
		watchCommand, notifyCommand, checkCommand, salvageCommand, statsCommand, backupCommand, compactCommand, purgeCommand, exportCommand, importCommand, completionCommand(), versionCommand,
	}
}

// commandNamed returns the command with a name, or nil if no command has it.
func commandNamed(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return &c
		}
	}
	return nil
}

// usageError is an invalid call.
type usageError struct {
	command string // "" before the command is known
	problem string
}

func (e *usageError) Error() string { return e.problem }

// call runs the tool, which has its streams and servers, and returns the exit
// code.
func (t *tool) call(ctx context.Context, args []string) int {
	t.db, t.zone, t.now = "pipestatus.db", time.Local, time.Now
	err := t.run(ctx, args)
	var usage *usageError
	switch { // an error of writing the error cannot be reported
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		name := strings.TrimSpace("statusctl " + usage.command)
		_, _ = fmt.Fprintf(t.stderr, "%s: %s\nRun '%s -h' for usage.\n", name, terminal.JSON([]byte(usage.problem)), name)
		return exitUsage
	case errors.Is(err, errAnswered), terminal.ReaderGone(err): // or its reader has gone
	case t.json && ctx.Err() == nil:
		_ = writeLine(t.stdout, refusal(err, false))
	default:
		_, _ = fmt.Fprintln(t.stderr, "statusctl: "+explain(err))
	}
	return exitFailed
}

func (t *tool) run(ctx context.Context, args []string) error {
	global := flag.NewFlagSet("statusctl", flag.ContinueOnError)
	t.bind(global)
	rest, err := arguments.Parse(global, args, false)
	if err == nil && len(rest) > 0 && rest[0] == "help" {
		err, rest = flag.ErrHelp, rest[1:]
	}
	help := errors.Is(err, flag.ErrHelp)
	switch {
	case help && len(rest) == 0:
		return t.usage(global)
	case err != nil && !help:
		return &usageError{problem: withSuggestion(err.Error(), global)}
	case len(rest) == 0:
		return &usageError{problem: "needs a command"}
	}
	switch c := commandNamed(rest[0]); {
	case c == nil:
	case help:
		return t.commandUsage(c)
	default:
		return t.runCommand(ctx, c, rest[1:])
	}
	problem := fmt.Sprintf("unknown command %q", rest[0])
	if meant := closest(rest[0], commandNames()); meant != "" {
		problem += "; did you mean " + meant + "?"
	}
	return &usageError{problem: problem}
}

func (t *tool) runCommand(ctx context.Context, c *command, args []string) error {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	own := c.declare(flags)
	t.bind(flags)
	args, err := arguments.Parse(flags, args, true)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return t.commandUsage(c)
	case err != nil:
		return &usageError{c.name, withSuggestion(err.Error(), flags)}
	case len(args) < c.least:
		return &usageError{c.name, "needs " + c.args}
	case len(args) > c.most:
		return &usageError{c.name, fmt.Sprintf("unexpected argument %q", args[c.most])}
	}
	err = own(ctx, t, args)
	var usage *usageError
	if errors.As(err, &usage) {
		usage.command = c.name
	}
	return err
}

// bind declares the flags of every command. They may come before and after the
// command; values given before are the defaults after.
func (t *tool) bind(flags *flag.FlagSet) {
	flags.StringVar(&t.db, "db", t.db, t.dbUsage())
	flags.StringVar(&t.auth, "auth", t.auth, "`JSON` with credentials for a running program, {\"access_token\":\"T\"}, or @FILE (default: "+authVariable+")")
	flags.BoolVar(&t.json, "json", t.json, "print one JSON object a line")
	flags.Func("tz", "time `ZONE` of the times shown, such as Asia/Shanghai (default: local)", func(name string) error {
		zone, err := time.LoadLocation(name)
		if err == nil {
			t.zone = zone
		}
		return err
	})
}

func (t *tool) dbUsage() string {
	usage := "database `FILE`, or http://HOST:PORT or unix:///SOCKET of a running program, to read"
	if t.servers != nil {
		usage += ", or the URL of one on a server"
	}
	return usage
}
