package statusctl

import (
	"context"
	"flag"
	"fmt"

	"github.com/pipestatus/pipestatus/engine"
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
				return t.read(ctx, func(from *reader) error { return listPurged(ctx, t, from, r) })
			}
			return t.operate(ctx, func(e *engine.Engine) error { return purge(ctx, t, e, r) })
		}
	},
}

func purge(ctx context.Context, t *tool, e *engine.Engine, r engine.Retention) error {
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
	found := 0
	for k, err := range r.Select(ctx, from.store) {
		if err != nil {
			return err
		}
		found++
		if !t.json {
			rows.add(k.Key.Business, k.Key.Task, k.Shown.String(), shownTime(k.Updated, t.zone), brief(k.Name, 60))
		} else if err := writeLine(t.stdout, map[string]string{"bk_biz_id": k.Key.Business, "task_id": k.Key.Task}); err != nil {
			return err
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
