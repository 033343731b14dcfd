package statusctl

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/pipestatus/pipestatus/engine"
)

var purgeCommand = command{
	name: "purge", summary: "remove tasks",
	detail: `
Needs -older-than, -keep or both; a removed task meets all conditions. A task
that has not ended, or has a node running, is not removed. -settled includes
such tasks without work in progress: tasks that were never started, or wait for
a person because they failed or were suspended. The tasks kept are counted by
reason. The file does not become smaller, but its free room is used again; see
compact.
` + timeDetail,
	bind: func(flags *flag.FlagSet) action {
		olderThan := flags.String("older-than", "", "only tasks without a transition since `TIME`")
		keep := flags.Int("keep", 0, "keep the `N` tasks recorded last, of those that -biz and -state select")
		business := flags.String("biz", "", "only tasks of the business `ID`")
		states := flags.String("state", "", "only tasks that show one of the `STATES`, such as FINISHED,REVOKED")
		byEnd := flags.Bool("by-end", false, "-older-than goes by the end of tasks that have ended")
		settled := flags.Bool("settled", false, "also tasks that have not ended and have no work in progress")
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
			r := engine.Retention{Business: *business, Before: before.Time(), ByEnd: *byEnd, Settled: *settled, Keep: *keep}
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
	done, err := e.Purge(ctx, r)
	if err != nil {
		return fmt.Errorf("%w (%s removed)", err, count(done.Removed, "task"))
	}
	if t.json {
		return writeLine(t.stdout, struct {
			OK      bool       `json:"ok"`
			Removed int        `json:"removed"`
			Passed  passedOver `json:"passed_over"`
		}{true, done.Removed, passedOverBy(done)})
	}
	_, err = fmt.Fprintf(t.stdout, "removed %s%s\n", count(done.Removed, "task"), reasons(done))
	return err
}

// passedOver counts the tasks that were kept, by reason.
type passedOver struct {
	Newest     int `json:"newest"`
	Recent     int `json:"recent"`
	Unfinished int `json:"unfinished"`
	Settled    int `json:"settled"`
	Changed    int `json:"changed"`
	Unreadable int `json:"unreadable,omitempty"`
}

func passedOverBy(p engine.Purged) passedOver {
	return passedOver{p.Newest, p.Recent, p.Unfinished, p.Settled, p.Changed, p.Unreadable}
}

// reasons is the text for people, "" if no task was kept.
func reasons(p engine.Purged) string {
	var parts []string
	for _, r := range []struct {
		n    int
		text string
	}{
		{p.Newest, "kept as the newest"},
		{p.Recent, "too recent"},
		{p.Unfinished, "under way"},
		{p.Settled, "settled but not ended (-settled includes these)"},
		{p.Changed, "changed during the purge"},
		{p.Unreadable, "that cannot be read"},
	} {
		if r.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", r.n, r.text))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf(", passed over %s: %s", count(p.PassedOver(), "task"), strings.Join(parts, ", "))
}

// listPurged lists what Purge would remove.
func listPurged(ctx context.Context, t *tool, from *reader, r engine.Retention) error {
	rows := table{states: 2}
	rows.add("BIZ", "TASK", "STATE", "UPDATED", "NAME")
	found := 0
	var passed engine.Purged
	for k, err := range r.Select(ctx, from.store, &passed) {
		if err != nil {
			return err
		}
		found++
		if !t.json {
			rows.add(k.Key.Business, k.Key.Task, k.Shown.String(), shownTime(k.Updated, t.zone), short(k.Name, 60))
		} else if err := writeLine(t.stdout, map[string]string{"bk_biz_id": k.Key.Business, "task_id": k.Key.Task}); err != nil {
			return err
		}
	}
	if t.json {
		return nil
	}
	if found > 0 {
		if err := rows.show(t.stdout); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(t.stdout, "would remove %s%s\n", count(found, "task"), reasons(passed))
	return err
}
