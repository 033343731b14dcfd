package statusctl

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

// An export is JSON Lines:
//
//	{"format":"pipestatus-export","version":1,"sequence":4711}
//	{"seq":1,"biz":"2","task":"10","op":"create",…}
//	…
//	{"end":true,"tasks":1,"transitions":17}
//
// The first line names the format and the store's last sequence. Then come the
// tasks in the order of their recording, each with all its transitions in order,
// one per line, as wire.Transition describes them. They begin with the create and
// hold every value of every changed node, so that replaying them, or committing them
// to another store, makes the same task with the same history. Sequences ascend
// within a task; a store that imports the tasks assigns new ones. The last line
// shows that the export is complete. The version is that of the records.
const (
	exportFormat  = "pipestatus-export"
	exportVersion = wire.Version
)

type exportHeader struct {
	Format   string `json:"format"`
	Version  int    `json:"version"`
	Sequence uint64 `json:"sequence"`
}

type exportEnd struct {
	End         bool `json:"end"`
	Tasks       int  `json:"tasks"`
	Transitions int  `json:"transitions"`
}

var exportCommand = command{
	name: "export", summary: "write all tasks with their whole history as JSON Lines",
	detail: `
The export holds everything the database does, in a form that does not depend on
the machine. It goes to standard output:

  statusctl export > tasks.jsonl

An export is complete if its last line says "end". See import. While other
processes record, each task is exported as of a different moment. Unreadable
tasks are left out and reported at the end.`,
	run: func(ctx context.Context, t *tool, _ []string) error {
		return t.read(ctx, func(r *reader) error {
			out := bufio.NewWriter(t.stdout)
			return errors.Join(writeExport(ctx, r, out), out.Flush())
		})
	},
}

func writeExport(ctx context.Context, r *reader, out io.Writer) error {
	last, err := store.Last(ctx, r.store)
	if err != nil {
		return err
	}
	if err := writeLine(out, exportHeader{exportFormat, exportVersion, last.Sequence}); err != nil {
		return err
	}
	var passed store.PassedOver
	keys, err := allTasks(ctx, r.store)
	if err != nil && !passed.Add(nil, err) {
		return err
	}
	end := exportEnd{End: true}
	for _, key := range keys {
		transitions, err := transitionsOf(ctx, r, key)
		switch {
		case errors.Is(err, state.ErrNotFound):
			continue // it has been purged during the export
		case passed.Add(&store.Task{Key: key}, err):
			continue
		case err != nil:
			return err
		}
		for _, tr := range transitions {
			if err := writeLine(out, wire.OfTransition(tr)); err != nil {
				return err
			}
		}
		end.Tasks++
		end.Transitions += len(transitions)
	}
	if err := writeLine(out, end); err != nil {
		return err
	}
	return passed.Err()
}

// transitionsOf is the transitions of a task, all or none.
func transitionsOf(ctx context.Context, r *reader, key state.Key) (all []*state.Transition, err error) {
	snap, err := r.store.Load(ctx, store.ByKey(key.Business, key.Task))
	if err != nil {
		return nil, err
	}
	for tr, err := range r.Transitions(ctx, snap.Tree) {
		if err == nil {
			tr, err = store.WithData(ctx, r.store, tr)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, tr)
	}
	return all, nil
}

// allTasks lists the keys of all tasks in the order of their recording. With an
// error that is a [*store.UnreadableError], it returns all readable tasks.
func allTasks(ctx context.Context, from store.Reader) (keys []state.Key, err error) {
	for t, err := range store.Tasks(ctx, from, store.ListQuery{}) {
		if err != nil {
			slices.Reverse(keys)
			return keys, err
		}
		keys = append(keys, t.Key)
	}
	slices.Reverse(keys)
	return keys, nil
}
