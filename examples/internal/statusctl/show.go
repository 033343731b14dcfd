package statusctl

import (
	"fmt"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
)

// shownTime is a time in the layout of get_task_status, "" if it is unset.
func shownTime(at state.Instant, zone *time.Location) string {
	if !at.IsSet() {
		return ""
	}
	return at.In(zone).Format(query.TimeLayout)
}

// whenShown is shownTime of a time in its own location, "" if it is zero.
func whenShown(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(query.TimeLayout)
}

// took is how long something lasted, "" if it never started.
func took(started, finished, stands, now time.Time) string {
	d, runs := lasted(started, finished, stands, now)
	switch {
	case started.IsZero():
		return ""
	case runs:
		return picture.Duration(d) + " so far"
	}
	return picture.Duration(d)
}

// lasted is how long something lasted until it finished or, if it waits for a person,
// came to a stand, or has been lasting, and whether it still does.
func lasted(started, finished, stands, now time.Time) (d time.Duration, runs bool) {
	switch {
	case started.IsZero():
		return 0, false
	case !finished.IsZero():
		return finished.Sub(started), false
	case !stands.IsZero():
		return stands.Sub(started), false
	}
	return now.Sub(started), true
}

// label is the display name of a node: its name, its kind, or both where the name
// alone would mislead.
func label(kind state.Kind, name string) string {
	return picture.Label(kind, short(name, 60))
}

// short is a text as a terminal shows it, in at most so many columns.
func short(text string, columns int) string { return picture.Fit(picture.Printable(text), columns) }

// taskName is the display name of a task.
func taskName(key state.Key) string { return key.Business + "/" + key.Task }

// count is a number of things as text.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// byteCount is a size in the largest unit of which it has at least one.
func byteCount(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/(1<<10), "KiB"
	for _, larger := range []string{"MiB", "GiB", "TiB"} {
		if size < 1<<10 {
			break
		}
		size, unit = size/(1<<10), larger
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}
