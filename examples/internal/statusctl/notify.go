package statusctl

import (
	"context"
	"errors"
	"flag"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/examples/internal/hook"
	"github.com/pipestatus/pipestatus/query/notify"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

var notifyCommand = command{
	name: "notify", args: "URL", summary: "deliver transitions to an HTTP endpoint as signed CloudEvents",
	detail: `
Each transition is one POST, at least once and in order for each task. FILE keeps
the position of the endpoint: another call with it continues there, also after a
crash. Use one FILE for one endpoint and one database.

Without -follow it ends when it has delivered everything that was recorded before.
With -follow it delivers the transitions that a running program (-db
http://HOST:PORT) or the users of a server record, until it is interrupted. A runner
delivers its own transitions: runner -notify URL.

An endpoint that answers 410 ends it; after any other failure it tries again, with
pauses of up to five minutes. If the database no longer has the next transition, it
reports that and ends. With -across-gaps it reports the gap to the endpoint and
continues with the oldest transition that is left. 'go doc ./query/notify' describes
the events.`,
	least: 1, most: 1,
	bind: func(flags *flag.FlagSet) action {
		var o notify.Options
		var position, secret string
		var fromNow, follow bool
		flags.StringVar(&position, "position", "", "keep in `FILE` how far the endpoint has come (required)")
		flags.StringVar(&secret, "secret", "", hook.Usage)
		flags.StringVar(&o.Source, "source", "", "the source `URI` in the events (default pipestatus)")
		flags.BoolVar(&fromNow, "from-now", false, "without a saved position, begin with the next recorded transition")
		flags.BoolVar(&o.AcrossGaps, "across-gaps", false, "tell the endpoint of a gap and continue")
		flags.BoolVar(&follow, "follow", false, "continue until interrupted")
		flags.DurationVar(&o.GiveUp, "give-up", time.Minute, "without -follow, end when the endpoint takes nothing for `TIME`")
		return func(ctx context.Context, t *tool, args []string) error {
			to, err := hook.Endpoint(args[0], secret)
			switch {
			case err != nil:
				return &usageError{problem: err.Error()}
			case position == "":
				return &usageError{problem: "needs -position FILE"}
			case follow && !t.running() && !database.OnServer(t.db):
				return &usageError{problem: "-follow needs a running program, -db http://HOST:PORT: only its runner changes a file, see runner -notify"}
			}
			if o.Once = !follow; follow {
				o.GiveUp = 0
			}
			if fromNow {
				o.Start = store.End
			}
			o.Logger = t.requestLog(false)
			err = t.look(ctx, forReading, func(r store.Reader) error {
				return notify.Deliver(ctx, r, to, feed.File(position), &o)
			})
			if follow && (ctx.Err() != nil || errors.Is(err, store.ErrClosed)) {
				return nil // its successful ends
			}
			return err
		}
	},
}
