package statusctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
)

var getCommand = command{
	name: "get", args: "BIZ TASK|NODE", summary: "print the status of a task or node as the documented response",
	least: 2, most: 2,
	detail: timeDetail,
	bind: func(flags *flag.FlagSet) func(context.Context, *tool, []string) error {
		var look look
		look.bind(flags)
		return func(ctx context.Context, t *tool, args []string) error {
			return t.read(ctx, func(r *reader) error { return get(ctx, t, r, &look, args[0], args[1]) })
		}
	},
}

// look are the flags of the commands that show one task.
type look struct {
	failedFirst bool
	at          string
}

func (l *look) bind(flags *flag.FlagSet) {
	flags.BoolVar(&l.failedFirst, "failed-first", false, "show a container FAILED as soon as anything in it is, even while the rest runs")
	flags.StringVar(&l.at, "at", "", "as it was at `TIME`")
}

// moment is the time that -at gives, unset without it.
func (l *look) moment(t *tool) (state.Instant, error) {
	at, err := parseWhen(l.at, t.zone, t.now())
	if err != nil {
		return state.Instant{}, &usageError{problem: "-at: " + err.Error()}
	}
	return at, nil
}

func get(ctx context.Context, t *tool, r *reader, look *look, business, task string) error {
	at, err := look.moment(t)
	if err != nil {
		return err
	}
	var answer query.Response
	switch snap, err := r.at(ctx, business, task, at); {
	case err == nil:
		answer.Result, answer.Data = true, r.convention(look.failedFirst).StatusOf(snap.Tree, snap.Index)
	case errors.Is(err, state.ErrNotFound) || errors.Is(err, state.ErrInvalidArgument):
		answer.Message = message(err)
	default:
		return err
	}
	line, err := answer.MarshalJSON()
	if err != nil {
		return err
	}
	if !t.json {
		var b bytes.Buffer
		if err := json.Indent(&b, line, "", "    "); err != nil {
			return err
		}
		line = b.Bytes()
	}
	if err := writeLine(t.stdout, json.RawMessage(line)); err != nil {
		return err
	}
	if !answer.Result {
		return errAnswered
	}
	return nil
}
