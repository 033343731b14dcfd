package statusctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var getCommand = command{
	name: "get", args: "BIZ TASK|NODE", summary: "print the status of a task or node as the documented response",
	least: 2, most: 2,
	detail: timeDetail,
	bind: func(flags *flag.FlagSet) func(context.Context, *tool, []string) error {
		var look look
		look.bind(flags)
		node := flags.String("node", "", "a `NODE`, by ID or key, with all its attempts and their data")
		return func(ctx context.Context, t *tool, args []string) error {
			if *node != "" {
				if look.at != "" {
					return &usageError{problem: "-node and -at exclude each other"}
				}
				return t.read(ctx, func(r *reader) error { return getNode(ctx, t, r, look.failedFirst, args[0], args[1], *node) })
			}
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

// show calls f with the task or node that the arguments name, at the moment of -at,
// which is unset without it, and with options for pictures of it.
func (l *look) show(
	ctx context.Context, t *tool, args []string, f func(snap store.Snapshot, at state.Instant, o *picture.Options) error,
) error {
	at, err := l.moment(t)
	if err != nil {
		return err
	}
	return t.read(ctx, func(r *reader) error {
		snap, err := r.at(ctx, args[0], args[1], at)
		if err != nil {
			return err
		}
		o := &picture.Options{Location: t.zone, FailedFirst: l.failedFirst, Now: t.now}
		if at.IsSet() {
			o.Now = at.Time
		}
		return f(snap, at, o)
	})
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
	return writeAnswer(t, answer, answer.Result)
}

// getNode prints a node with all of its attempts as a response of the same form.
func getNode(ctx context.Context, t *tool, r *reader, failedFirst bool, business, task, node string) error {
	var answer struct {
		Result  bool              `json:"result"`
		Data    *query.NodeDetail `json:"data,omitempty"`
		Message string            `json:"message,omitempty"`
	}
	switch detail, err := r.convention(failedFirst).Node(ctx, business, task, node); {
	case err == nil:
		answer.Result, answer.Data = true, detail
	case errors.Is(err, state.ErrNotFound) || errors.Is(err, state.ErrInvalidArgument):
		answer.Message = message(err)
	default:
		return err
	}
	return writeAnswer(t, answer, answer.Result)
}

// writeAnswer prints a response, over several lines for people.
func writeAnswer(t *tool, answer any, result bool) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(answer); err != nil {
		return err
	}
	raw := bytes.TrimSpace(line.Bytes())
	if !t.json {
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "    "); err != nil {
			return err
		}
		raw = b.Bytes()
	}
	if err := writeLine(t.stdout, json.RawMessage(raw)); err != nil {
		return err
	}
	if !result {
		return errAnswered
	}
	return nil
}
