package statusctl

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var listCommand = command{
	name: "list", summary: "list tasks, newest recorded first",
	detail: timeDetail + `

-since and -until bound when tasks started, or with -time when they ended (finished)
or when the database got them (recorded). A task that failed and waits for a person
has not ended, and no time bounds when it failed: to see all failures of today, list
-failures without -since, or with a -since before the oldest of these tasks started.

-text finds a part of the task ID, of the ID of the root, of the name or of a label
such as host=web-1, in letters of either case. -name is the whole name, in the same
case, or a pattern in which each * stands for any characters: -name 'nightly*'. A
name and labels are found by an index. -text, a pattern and another order than the
recorded one read one task after the other.

With -sort started the task that started last comes first, with -sort duration the
one that has taken longest. STEPS counts steps that have finished, FAILED those that
are FAILED; a pipeline or a subprocess is no step.`,
	bind: func(flags *flag.FlagSet) action {
		l := &lister{}
		flags.StringVar(&l.query.Business, "biz", "", "only tasks of the business `ID`")
		states := flags.String("state", "", "only tasks that show one of the `STATES`, such as FAILED,RUNNING")
		flags.BoolVar(&l.query.Unfinished, "unfinished", false, "only tasks that have not ended or have a node running")
		flags.BoolVar(&l.query.HasFailures, "failures", false, "only tasks in which a node or the task itself has failed, whenever that was")
		flags.StringVar(&l.query.Name, "name", "", "only tasks with the `NAME`, or one that matches it")
		flags.StringVar(&l.text, "text", "", "only tasks with `TEXT` in their name, ID or a label")
		labels := labelFlag(flags, "only tasks with the label `KEY=VALUE`; may be given several times")
		which := flags.String("time", "started", "`WHAT` -since and -until bound: started, finished or recorded")
		since := flags.String("since", "", "only tasks from `TIME` on")
		until := flags.String("until", "", "only tasks before `TIME`")
		flags.StringVar(&l.sort, "sort", "recorded", "in the `ORDER` recorded, started or duration")
		flags.BoolVar(&l.query.OldestFirst, "oldest", false, "the oldest recorded first")
		flags.IntVar(&l.query.Limit, "limit", 50, "at most `N` tasks")
		flags.StringVar(&l.query.Cursor, "cursor", "", "continue at the `CURSOR` of the previous page")
		return func(ctx context.Context, t *tool, _ []string) (err error) {
			l.tool = t
			if l.query.Shown, err = parseStates(*states); err != nil {
				return &usageError{problem: err.Error()}
			}
			if l.query.Limit < 1 {
				return &usageError{problem: "-limit must be at least 1"}
			}
			l.query.Labels = state.LabelsOf(labels)
			now := t.now()
			bounds, err := t.span(*since, *until)
			if err != nil {
				return err
			}
			switch *which {
			case "recorded":
				l.query.Recorded = bounds
			case "started":
				l.query.Started = bounds
			case "finished":
				l.query.Finished = bounds
			default:
				return &usageError{problem: fmt.Sprintf("-time is started, finished or recorded, not %q", *which)}
			}
			switch _, ok := orders[l.sort]; {
			case !ok && l.sort != "recorded":
				return &usageError{problem: fmt.Sprintf("-sort is recorded, started or duration, not %q", l.sort)}
			case ok && (l.query.OldestFirst || l.query.Cursor != ""):
				return &usageError{problem: "-oldest and -cursor are for -sort recorded"}
			}
			return t.read(ctx, func(r *reader) error { return l.list(ctx, r, now) })
		}
	},
}

type lister struct {
	*tool
	query store.ListQuery
	text  string
	sort  string
	more  int // tasks that a sorted list leaves out
}

// orders are the values of -sort for which all tasks are read: the tasks with the
// largest figures come first.
var orders = map[string]func(k *query.Task, now time.Time) int64{
	"started": func(k *query.Task, _ time.Time) int64 { return k.Started.UnixMicro() },
	"duration": func(k *query.Task, now time.Time) int64 {
		d, _ := lasted(k.Started, k.Finished, k.Stands(), now)
		return int64(d)
	},
}

// find reads a page of the list or, for another order than the recorded one, the
// whole list, of which it keeps the first tasks.
func (l *lister) find(ctx context.Context, r *reader, now time.Time) (query.Tasks, error) {
	figure := orders[l.sort]
	if figure == nil {
		return r.Search(ctx, l.query, l.text)
	}
	filter, found := l.query, query.Tasks{Tasks: []query.Task{}}
	filter.Limit = max(filter.Limit, 1000)
	for {
		page, err := r.Search(ctx, filter, l.text)
		if err != nil {
			return query.Tasks{}, err
		}
		all := append(found.Tasks, page.Tasks...)
		slices.SortStableFunc(all, func(a, b query.Task) int { return cmp.Compare(figure(&b, now), figure(&a, now)) })
		found.Tasks, found.Missing = all[:min(len(all), l.query.Limit)], page.Missing
		found.Unreadable += page.Unreadable
		l.more += len(all) - len(found.Tasks)
		if filter.Cursor = page.Cursor; filter.Cursor == "" {
			return found, nil
		}
	}
}

func (l *lister) list(ctx context.Context, r *reader, now time.Time) error {
	tasks, err := l.find(ctx, r, now)
	if err != nil {
		return err
	}
	show := l.write
	if l.json {
		show = l.writeJSON
	}
	if err := show(tasks, now); err != nil {
		return err
	}
	if len(tasks.Missing) > 0 {
		return fmt.Errorf("%w: tasks are not listed: %s", store.ErrUnavailable, strings.Join(tasks.Missing, "; "))
	}
	if tasks.Unreadable == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s cannot be read and not listed", store.ErrCorrupt, count(tasks.Unreadable, "task"))
}

func (l *lister) write(tasks query.Tasks, now time.Time) error {
	if len(tasks.Tasks) == 0 {
		message := "no tasks"
		switch {
		case l.query.Cursor != "":
			message = "no more tasks"
		case l.query.Name != "":
			message = "no tasks; -name is the whole name or a pattern such as 'nightly*', -text a part of it"
		}
		return l.remark(message)
	}
	rows := l.rows(tasks.Tasks, now)
	if err := rows.show(l.stdout); err != nil {
		return err
	}
	switch {
	case tasks.Cursor != "":
		return l.remark("more: -cursor " + tasks.Cursor)
	case l.more > 0:
		return l.remark(count(l.more, "more task") + ": -limit")
	}
	return nil
}

// remark writes a line about the list to where problems go, so that a pipe gets tasks
// only.
func (l *lister) remark(text string) error {
	_, err := fmt.Fprintln(l.stderr, text)
	return err
}

// rows is a table of tasks. On a narrow terminal, failures stay and other columns go.
func (l *lister) rows(tasks []query.Task, now time.Time) *table {
	has := func(holds func(k *query.Task) bool) bool {
		return slices.ContainsFunc(tasks, func(k query.Task) bool { return holds(&k) })
	}
	head := []string{"BIZ", "TASK", "STATE", "STARTED", "TOOK", "STEPS"}
	rows := &table{states: 2, times: []int{3}, year: now.In(l.zone).Format("2006-"), spare: []int{5}}
	failed := has(func(k *query.Task) bool { return k.Counts[state.Failed] > 0 })
	if failed {
		head = append(head, "FAILED")
	}
	named := len(head)
	head = append(head, "NAME")
	rows.cut = []int{named}
	labeled := has(func(k *query.Task) bool { return len(k.Labels) > 0 })
	if labeled {
		head = append(head, "LABELS")
		rows.spare, rows.cut = []int{named + 1, 5}, []int{named + 1, named}
	}
	if !has(func(k *query.Task) bool { return k.Business != tasks[0].Business }) {
		rows.spare = append(rows.spare, 0)
	}
	rows.add(head...)
	for i := range tasks {
		k := &tasks[i]
		name := k.Name
		if name == state.Pipeline.Class() {
			name = "" // it was given none
		}
		row := []string{k.Business, k.Task, k.State.String(), whenShown(k.Started), took(k.Started, k.Finished, k.Stands(), now), "", short(name, 60)}
		if steps := k.Counts.Total(); steps > 0 {
			row[5] = fmt.Sprintf("%d of %d", k.Counts[state.Finished], steps)
		}
		if failed {
			row = slices.Insert(row, 6, "")
			if n := k.Counts[state.Failed]; n > 0 {
				row[6] = fmt.Sprint(n)
			}
		}
		if labeled {
			row = append(row, labelText(k.Labels))
		}
		rows.add(row...)
	}
	return rows
}

func (l *lister) writeJSON(tasks query.Tasks, _ time.Time) error {
	err := writeEach(l.stdout, tasks.Tasks, func(k *query.Task) *query.Task { return k })
	if err != nil || tasks.Cursor == "" {
		return err
	}
	return writeLine(l.stdout, map[string]string{"cursor": tasks.Cursor})
}

// parseStates reads names of states with commas between them.
func parseStates(list string) (states []state.State, err error) {
	if list == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		st, err := state.ParseState(strings.ToUpper(strings.TrimSpace(name)))
		if err != nil {
			return nil, fmt.Errorf("-state: %q is not one of %s", name, strings.Join(stateNames(), ", "))
		}
		states = append(states, st)
	}
	return states, nil
}

func stateNames() (names []string) {
	for s := state.Created; s <= state.Finished; s++ {
		names = append(names, s.String())
	}
	return names
}

// labelFlag declares -label and returns the labels that it was given.
func labelFlag(flags *flag.FlagSet, usage string) map[string]string {
	labels := make(map[string]string)
	flags.Func("label", usage, func(text string) error {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("a label is KEY=VALUE")
		}
		if other, twice := labels[key]; twice && other != value {
			return fmt.Errorf("no task has two values of label %s", key)
		}
		labels[key] = value
		return state.CheckLabel(key, value)
	})
	return labels
}

// labelText is labels as people read them.
func labelText(labels map[string]string) string {
	parts := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, " ")
}
