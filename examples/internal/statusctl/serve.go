package statusctl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/serving"
	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/store"
)

var serveCommand = command{
	name: "serve", summary: "answer get_task_status over HTTP, with a status page",
	detail: `
Serves the documented call under ` + httpapi.DefaultPrefix + `/, and a page
for browsers at the address it prints, until it is interrupted, even if its
output is closed. It keeps the file open, so no runner can use the file at the
same time: a runner serves its own.

An application sends requests for a user. To permit ann with the token T, or
the application robot for any user:

  statusctl serve -app web:SECRET -token T=ann
  statusctl serve -app robot:SECRET -trusted-app robot

All of them may see all tasks. Other users of the machine can read a command
line: give secrets as sha256:HASH, where HASH is the output of
'printf %s SECRET | sha256sum'. There is no TLS: listen on loopback, or put a
proxy in front. With -no-auth, only requests to localhost, to an address, to the
name in -addr or to a -host are answered, so that no web page elsewhere can read
the tasks.
Requests are logged to standard error, as JSON with -json.`,
	bind: func(flags *flag.FlagSet) action {
		var o serveOptions
		flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "listen on `HOST:PORT` (0: any free) or unix:///PATH")
		o.access.Bind(flags)
		flags.BoolVar(&o.failedFirst, "failed-first", false, "show a container FAILED as soon as anything in it is, even while the rest runs")
		flags.BoolVar(&o.quiet, "quiet", false, "log no requests")
		return func(ctx context.Context, t *tool, _ []string) (err error) {
			if o.authenticator, err = o.access.Authenticator(); err != nil {
				return &usageError{problem: err.Error()}
			}
			serve := func(r store.Reader) error { return t.serve(ctx, r, &o) }
			return t.look(ctx, forReading, func(r store.Reader) error {
				s, own := r.(store.Store)
				if _, shared := r.(store.Notifier); shared || !own {
					return serve(r) // an engine's memory would lag behind other processes
				}
				return withEngine(ctx, s, func(e *engine.Engine) error { return serve(e) })
			})
		}
	},
}

type serveOptions struct {
	addr               string
	access             serving.Access
	authenticator      httpapi.Authenticator // the authenticator of access
	failedFirst, quiet bool
}

// serve serves the database until ctx ends, which is success.
func (t *tool) serve(ctx context.Context, r store.Reader, o *serveOptions) (err error) {
	server, err := serving.Listen(ctx, o.addr, httpapi.New(r, &httpapi.Options{
		Authenticator: o.authenticator, AuthorizeStore: serving.WholeStore, Hosts: o.access.Hosts(o.addr), Logger: t.requestLog(o.quiet),
		Query: &query.Options{Location: t.zone, FailedFirst: o.failedFirst},
	}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := t.announce(server, o.access.Open()); err != nil && !terminal.ReaderGone(err) {
		return err
	}
	select {
	case <-ctx.Done():
	case <-server.Ended():
	}
	return nil
}

// requestLog is where requests are logged.
func (t *tool) requestLog(quiet bool) *slog.Logger {
	switch {
	case quiet:
		return nil
	case t.json:
		return slog.New(slog.NewJSONHandler(t.stderr, nil))
	}
	return slog.New(slog.NewTextHandler(t.stderr, nil))
}

// announce prints the address of the server once it listens.
func (t *tool) announce(server *serving.Server, open bool) error {
	if t.json {
		return writeLine(t.stdout, map[string]string{"url": server.URL()})
	}
	if open && !server.Loopback() {
		fmt.Fprintln(t.stderr, "statusctl serve: every program that can reach this address sees all tasks")
	}
	_, err := fmt.Fprintf(t.stdout, "serving %s at %s\n", t.where(), server.URL())
	return err
}
