package statusctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// importSize is the number of transitions after which import commits the complete
// tasks that it has read.
const importSize = 4096

var importCommand = command{
	name: "import", args: "[FILE]", summary: "record the tasks of an export, from FILE or standard input",
	most: 1,
	detail: `
The export is read to its end first. Nothing is imported if it is damaged or
incomplete, if it has a task or a node ID twice, or if the database has one of
them. Then the tasks are recorded, each completely or not at all. Queries about
them have the same answers as in the original database, except for sequences and
revisions, which are those of the new one.`,
	run: importTasks,
}

func importTasks(ctx context.Context, t *tool, args []string) (err error) {
	if t.db == memory {
		return &usageError{problem: "-db :memory: is for apply only"}
	}
	in, err := t.input(args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	file, remove, err := rereadable(in)
	if err != nil {
		return err
	}
	defer remove()
	found, err := examineExport(ctx, file, maxNames)
	if err != nil {
		return err
	}
	s, err := t.create(ctx, found.options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := expectNone(ctx, file, s); err != nil {
		return fmt.Errorf("%w in %s; nothing is imported", err, t.where())
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	done, err := record(ctx, s, file)
	if err != nil {
		return fmt.Errorf("%w (%d of %d tasks are imported)", err, done.Tasks, found.tasks)
	}
	if t.json {
		return writeLine(t.stdout, done)
	}
	_, err = fmt.Fprintf(t.stdout, "imported %s with %s\n", count(done.Tasks, "task"), count(done.Transitions, "transition"))
	return err
}

// rereadable returns in as a file at its start, or a spooled copy. remove removes
// the copy.
func rereadable(in io.Reader) (file *os.File, remove func(), err error) {
	if f, ok := in.(*os.File); ok {
		at, err := f.Seek(0, io.SeekCurrent)
		if err == nil && at == 0 {
			return f, func() {}, nil
		}
	}
	spool, err := os.CreateTemp("", "statusctl-import-*")
	if err != nil {
		return nil, nil, err
	}
	remove = func() {
		_ = spool.Close()
		_ = os.Remove(spool.Name())
	}
	if _, err = io.Copy(spool, in); err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err != nil {
		remove()
		return nil, nil, err
	}
	return spool, remove, nil
}

type imported struct {
	OK          bool `json:"ok"`
	Tasks       int  `json:"tasks"`
	Transitions int  `json:"transitions"`
}

// record commits the tasks of an export, several at a time, and returns what
// was committed.
func record(ctx context.Context, s store.Store, r io.Reader) (done imported, err error) {
	var tasks []store.Write
	pending := 0 // transitions in tasks, and KiB of their data
	commit := func() error {
		results, err := s.Commit(ctx, tasks)
		if err != nil {
			return err
		}
		for i := range tasks {
			if err = errors.Join(err, wrapTask(tasks[i].Key(), results[i].Err)); results[i].Err == nil {
				done.Tasks++
				done.Transitions += len(tasks[i].Transitions)
			}
		}
		tasks, pending = nil, 0
		return err
	}
	for tr, err := range readExport(r) {
		if err == nil && tr.Op == state.Create && pending >= importSize {
			err = commit()
		}
		if err != nil {
			return done, err
		}
		if tr.Op == state.Create {
			tasks = append(tasks, store.Write{})
		}
		task := &tasks[len(tasks)-1]
		task.Transitions = append(task.Transitions, tr)
		pending += 1 + len(tr.Data.Bytes())>>10
	}
	if len(tasks) > 0 {
		err = commit()
	}
	done.OK = err == nil
	return done, err
}

func wrapTask(key state.Key, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("task %s: %w", key, err)
}
