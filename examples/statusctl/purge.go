package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var purgeCommand = command{
	name: "purge", summary: "remove tasks that have ended",
	detail: `
Needs -older-than, -keep or both; what is removed meets all conditions. A task
that has not ended, or has a node running, is never removed. The file does not
become smaller, but what is freed is used again; see compact.
` + timeDetail,
	bind: func(flags *flag.FlagSet) func(context.Context, *tool, []string) error {
		olderThan := flags.String("older-than", "", "only tasks without a transition since `TIME`")
		keep := flags.Int("keep", 0, "keep the `N` tasks recorded last, of those that -biz and -state select")
		business := flags.String("biz", "", "only tasks of the business `ID`")
		states := flags.String("state", "", "only tasks that show one of the `STATES`, such as FINISHED,REVOKED")
		dryRun := flags.Bool("dry-run", false, "remove nothing, list what would be")
		return func(ctx context.Context, t *tool, _ []string) error {
			given := false
			flags.Visit(func(f *flag.Flag) { given = given || f.Name == "older-than" || f.Name == "keep" })
			before, err := parseWhen(*olderThan, t.zone, t.now())
			switch {
			case !given:
				return &usageError{problem: "needs -older-than or -keep"}
			case *keep < 0:
				return &usageError{problem: "-keep is negative"}
			case err != nil:
				return &usageError{problem: "-older-than: " + err.Error()}
			}
			r := engine.Retention{Business: *business, Before: before.Time(), Keep: *keep}
			if r.Shown, err = parseStates(*states); err != nil {
				return &usageError{problem: err.Error()}
			}
			if *dryRun {
				return t.read(func(from *reader) error { return listPurged(ctx, t, from, r) })
			}
			return purge(ctx, t, r)
		}
	},
}

func purge(ctx context.Context, t *tool, r engine.Retention) (err error) {
	s, err := t.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	e, err := engine.Open(ctx, s, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	removed, err := e.Purge(ctx, r)
	if err != nil {
		return fmt.Errorf("%w (%s removed)", err, count(removed, "task"))
	}
	if t.json {
		return writeLine(t.stdout, map[string]any{"ok": true, "removed": removed})
	}
	_, err = fmt.Fprintf(t.stdout, "removed %s\n", count(removed, "task"))
	return err
}

// listPurged lists what Purge would remove.
func listPurged(ctx context.Context, t *tool, from *reader, r engine.Retention) error {
	rows := table{states: 2}
	rows.add("BIZ", "TASK", "STATE", "UPDATED", "NAME")
	q := store.ListQuery{Business: r.Business, Shown: r.Shown}
	found, before := 0, state.InstantOf(r.Before)
	for seen := 0; ; {
		page, err := from.store.List(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Tasks {
			k := &page.Tasks[i]
			if seen++; seen <= r.Keep || k.Unfinished() || !r.Before.IsZero() && !before.After(k.Updated) {
				continue
			}
			found++
			if !t.json {
				rows.add(k.Key.Business, k.Key.Task, k.Shown.String(), shownTime(k.Updated, t.zone), brief(k.Name, 60))
			} else if err := writeLine(t.stdout, map[string]string{"bk_biz_id": k.Key.Business, "task_id": k.Key.Task}); err != nil {
				return err
			}
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	if t.json {
		return nil
	}
	if found > 0 {
		if err := rows.write(t.stdout, paletteFor(t.stdout)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(t.stdout, "would remove %s\n", count(found, "task"))
	return err
}
