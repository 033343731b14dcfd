package statusctl

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

// pollEvery is the polling interval of watch -follow.
const pollEvery = 500 * time.Millisecond

var watchCommand = command{
	name: "watch", summary: "show transitions of all tasks in the order they were recorded",
	detail: `
Begins after transition N, or with the oldest transition that the file still
keeps for watching. With -follow it continues: it opens a file repeatedly for a
moment, so that others can record, and shows new transitions when it can. It
sees nothing while a runner has the file open. For a database on a server, or a
running program (-db http://HOST:PORT), it shows every transition at once.

With -json each line has all values of every node that the transition changed.`,
	bind: func(flags *flag.FlagSet) action {
		after := flags.Uint64("after", 0, "begin after transition `N`")
		follow := flags.Bool("follow", false, "continue until interrupted, or until the output is closed")
		return func(ctx context.Context, t *tool, _ []string) error {
			w := &watcher{tool: t, from: *after}
			if !*follow {
				return t.read(ctx, func(r *reader) error { return w.catchUp(ctx, r) })
			}
			return w.follow(ctx)
		}
	},
}

// watcher shows transitions.
type watcher struct {
	*tool
	from  uint64         // the last transition not to show, 0 for the oldest
	after store.Position // of the last one shown, zero before the first
}

// follow shows transitions until ctx ends or the output is closed, which are its
// successful ends.
func (w *watcher) follow(ctx context.Context) error {
	if database.OnServer(w.db) {
		return w.read(ctx, func(r *reader) error { return w.listen(ctx, r) })
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := w.read(ctx, func(r *reader) error { return w.catchUp(ctx, r) })
		if ctx.Err() != nil || terminal.ReaderGone(err) {
			return nil
		}
		if err != nil && !errors.Is(err, store.ErrLocked) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// listen is follow on a database in which other processes record.
func (w *watcher) listen(ctx context.Context, r *reader) error {
	if w.running() {
		return w.hear(ctx, r)
	}
	notifier, tells := r.store.(store.Notifier)
	for {
		var changed <-chan struct{}
		var tick <-chan time.Time
		if tells { // asked before reading, so that no change is missed in between
			changed = notifier.Changed()
		} else {
			tick = time.After(pollEvery)
		}
		if err := w.catchUp(ctx, r); terminal.ReaderGone(err) {
			return nil
		} else if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-changed:
		case <-tick:
		case <-ctx.Done():
			return nil
		}
	}
}

// hear is follow on a running program, which sends each transition. The end of the
// program is a successful end.
func (w *watcher) hear(ctx context.Context, r *reader) error {
	err := w.catchUp(ctx, r)
	if program, tells := r.store.(httpapi.Watcher); tells && err == nil {
		for event, failure := range program.Watch(ctx, w.after) {
			if err = failure; err == nil {
				err = w.show(w.stdout, event.Transition)
			}
			if err != nil {
				break
			}
		}
	}
	if ctx.Err() != nil || terminal.ReaderGone(err) || errors.Is(err, store.ErrClosed) {
		return nil
	}
	return err
}

// catchUp shows the transitions after the last one shown.
func (w *watcher) catchUp(ctx context.Context, r *reader) error {
	out := bufio.NewWriter(w.stdout)
	if w.after == (store.Position{}) {
		end, err := r.store.Feed(ctx, store.End, 1)
		if err != nil {
			return err
		}
		// A number names no history: it is taken as a sequence of the present one.
		if w.after = end.Start(); w.from > 0 {
			w.after = end.Last.At(w.from)
		}
	}
	for {
		page, err := r.store.Feed(ctx, w.after, 0)
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		for _, tr := range page.Transitions {
			if err := w.show(out, tr); err != nil {
				return err
			}
		}
		w.after = page.After()
		if len(page.Transitions) == 0 {
			return out.Flush()
		}
	}
}

func (w *watcher) show(out io.Writer, tr *state.Transition) error {
	if w.json {
		return writeLine(out, wire.OfTransition(tr))
	}
	_, err := fmt.Fprintln(out, terminal.Printable(transitionLine(tr, w.zone)))
	return err
}

// transitionLine is a transition for people. Parts of varying width come last.
func transitionLine(tr *state.Transition, zone *time.Location) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6d  %s  %-9s", tr.Sequence, shownTime(tr.At, zone), tr.Op)
	if len(tr.Changes) == 0 {
		fmt.Fprintf(&b, "%-23s  %s", "", taskName(tr.Task))
		return b.String()
	}
	c := &tr.Changes[0]
	step := c.State.String()
	if c.From != 0 {
		step = c.From.String() + " → " + step
	}
	fmt.Fprintf(&b, "%-23s  %s  %s", step, taskName(tr.Task), c.ID)
	if c.Declared != nil {
		b.WriteString("  " + label(c.Kind, c.Declared.Name))
	}
	if more := len(tr.Changes) - 1; more > 0 {
		fmt.Fprintf(&b, ", and %d below", more)
	}
	if tr.Actor != "" {
		b.WriteString(", by " + tr.Actor)
	}
	if c.Error != "" && tr.Op == state.Fail {
		b.WriteString(": " + picture.Cause(c.Error))
	}
	if c.ErrorIgnored && tr.Op == state.Fail {
		b.WriteString(" (ignored)")
	}
	return b.String()
}
