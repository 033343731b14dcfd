package statusctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"strings"

	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var getCommand = command{
	name: "get", args: "BIZ TASK|NODE", summary: "print the status of a task or node as the documented response",
	least: 2, most: 2,
	detail: timeDetail,
	bind: func(flags *flag.FlagSet) action {
		var look look
		look.bind(flags, "with all its attempts and their data")
		return func(ctx context.Context, t *tool, args []string) error {
			if look.node != "" {
				if look.at != "" {
					return &usageError{problem: "-node and -at exclude each other"}
				}
				return t.read(ctx, func(r *reader) error { return getNode(ctx, t, r, look.failedFirst, args[0], args[1], look.node) })
			}
			return t.read(ctx, func(r *reader) error { return get(ctx, t, r, &look, args[0], args[1]) })
		}
	},
}

// look are the flags of the commands that show one task.
type look struct {
	failedFirst bool
	at, node    string
}

// bind declares the flags; what says how -node shows the node.
func (l *look) bind(flags *flag.FlagSet, what string) {
	flags.BoolVar(&l.failedFirst, "failed-first", false, "show a container FAILED as soon as anything in it is, even while the rest runs")
	flags.StringVar(&l.at, "at", "", "as it was at `TIME`")
	bindNode(flags, &l.node, what)
}

// bindNode declares -node.
func bindNode(flags *flag.FlagSet, node *string, what string) {
	flags.StringVar(node, "node", "", "only the `NODE` of the task, by ID or key, "+what)
}

// indexOf is the index of the node of a task that -node names, that of the snapshot
// if it names none.
func indexOf(snap store.Snapshot, node string) (int, error) {
	if node == "" {
		return snap.Index, nil
	}
	i, ok := snap.Tree.Named(node)
	if !ok {
		key := snap.Tree.Key()
		return 0, &query.NotFoundError{Business: key.Business, Task: key.Task, Node: node}
	}
	return i, nil
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
		if err == nil {
			snap.Index, err = indexOf(snap, l.node)
		}
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

// looking is the bind of a command that shows a task, or a node with its content.
func looking(show func(t *tool, snap store.Snapshot, o *picture.Options) error) func(*flag.FlagSet) action {
	return func(flags *flag.FlagSet) action {
		var look look
		look.bind(flags, "with its content")
		return func(ctx context.Context, t *tool, args []string) error {
			return look.show(ctx, t, args, func(snap store.Snapshot, _ state.Instant, o *picture.Options) error { return show(t, snap, o) })
		}
	}
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

// getNode prints a node with all of its attempts as a response of the same form,
// an attempt at a time: their data may be large.
func getNode(ctx context.Context, t *tool, r *reader, failedFirst bool, business, task, node string) error {
	detail, err := r.convention(failedFirst).Node(ctx, business, task, node)
	switch {
	case errors.Is(err, state.ErrNotFound) || errors.Is(err, state.ErrInvalidArgument):
		return writeAnswer(t, query.Response{Message: message(err)}, false)
	case err != nil:
		return err
	}
	status, err := t.laidOut(detail.Status, 1)
	if err != nil {
		return err
	}
	line, colon := t.line, ": "
	if t.json {
		colon = ":"
	}
	status = strings.TrimSuffix(status, line(1)+"}")
	if err := t.write("{", line(1), `"result"`, colon, "true,", line(1), `"data"`, colon, status, ",", line(2), `"attempts"`, colon, "["); err != nil {
		return err
	}
	comma := ""
	for a, err := range detail.Attempts {
		if err != nil {
			return err
		}
		attempt, err := t.laidOut(a, 3)
		if err != nil {
			return err
		}
		if err := t.write(comma, line(3), attempt); err != nil {
			return err
		}
		comma = ","
	}
	return t.write(line(2), "]", line(1), "}", line(0), "}\n")
}

// writeAnswer prints a response, over several lines for people.
func writeAnswer(t *tool, answer any, result bool) error {
	text, err := t.laidOut(answer, 0)
	if err == nil {
		err = t.write(text, "\n")
	}
	if err == nil && !result {
		err = errAnswered
	}
	return err
}

// laidOut is a value as JSON without control sequences of terminals. For people it has
// several lines, of which all but the first are indented by so many levels.
func (t *tool) laidOut(v any, level int) (string, error) {
	text, err := encoded(v)
	raw := terminal.JSON(bytes.TrimSpace(text))
	if t.json || err != nil {
		return string(raw), err
	}
	var indented bytes.Buffer
	err = json.Indent(&indented, raw, strings.Repeat("    ", level), "    ")
	return indented.String(), err
}

// line begins a line for people, indented by so many levels.
func (t *tool) line(level int) string {
	if t.json {
		return ""
	}
	return "\n" + strings.Repeat("    ", level)
}

func (t *tool) write(parts ...string) error {
	for _, part := range parts {
		if _, err := io.WriteString(t.stdout, part); err != nil {
			return err
		}
	}
	return nil
}
