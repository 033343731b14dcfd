package httpapi

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// sorting is an order of a list that stores do not have: by start or by duration.
type sorting struct {
	value      string // started or duration, "" for the order of recording
	descending bool
}

func (q *question) sorting() (s sorting) {
	text := q.text("sort")
	s.value, s.descending = strings.CutPrefix(text, "-")
	if text != "" && s.value != "started" && s.value != "duration" {
		q.fail(malformed("sort must be started or duration, with a minus before it if the largest comes first"))
	}
	return s
}

// sortedAt begins a cursor of a sorted list: the number of tasks on the pages before
// follows.
const sortedAt = "sorted "

// sortedPage sorts the tasks among those that one list examines.
func (h *Handler) sortedPage(x *exchange, f *listFilter) (page listPage, err error) {
	before := 0
	if f.Cursor != "" {
		number, ok := strings.CutPrefix(f.Cursor, sortedAt)
		if before, err = strconv.Atoi(number); !ok || err != nil {
			return page, malformed("cursor is malformed")
		}
	}
	wanted, seen := f.Limit, 0
	f.Cursor, f.Limit = "", listMax
	var all []sortable
	now := h.now()
	for last := false; !last; {
		var tasks []store.Task
		if tasks, last, err = h.listSome(x, f, &seen); err != nil {
			return page, err
		}
		for i := range tasks {
			all = append(all, f.by.sortable(&tasks[i], now))
		}
	}
	slices.SortStableFunc(all, f.by.compare)
	page.more = f.Cursor != "" && !f.hides // not every caller may know that there are others
	for _, s := range all[min(before, len(all)):min(before+wanted, len(all))] {
		page.rows = append(page.rows, *s.task)
	}
	if before+wanted < len(all) {
		page.cursor = sortedAt + strconv.Itoa(before+wanted)
	}
	return page, nil
}

// sortable is a task with the value by which it is sorted.
type sortable struct {
	task   *store.Task
	has    bool // a task without a value comes last
	value  int64
	breaks int64 // between equal values
}

func (s sorting) sortable(t *store.Task, now state.Instant) sortable {
	if s.value == "duration" {
		took, ok := tookOf(t, now)
		return sortable{task: t, has: ok, value: int64(took)}
	}
	// The page shows when a task was recorded if it has not started.
	at := t.Started
	if !at.IsSet() {
		at = t.Recorded
	}
	sec, nsec := at.Unix()
	return sortable{task: t, has: true, value: sec, breaks: int64(nsec)}
}

func (s sorting) compare(a, b sortable) int {
	switch {
	case a.has != b.has && a.has:
		return -1
	case a.has != b.has:
		return 1
	case s.descending:
		a, b = b, a
	}
	return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(a.breaks, b.breaks))
}

// tookOf is how long a task took or has been running. ok is false if it has not started.
func tookOf(t *store.Task, now state.Instant) (took time.Duration, ok bool) {
	if !t.Started.IsSet() {
		return 0, false
	}
	until := now.Time()
	shown := query.Task{Started: t.Started.Time(), Finished: t.Finished.Time(), Updated: t.Updated.Time(), State: t.Shown, Counts: t.Counts, Pending: t.Pending}
	if stands := shown.Stands(); t.Finished.IsSet() {
		until = t.Finished.Time()
	} else if !stands.IsZero() {
		until = stands
	}
	return until.Sub(t.Started.Time()), true
}
