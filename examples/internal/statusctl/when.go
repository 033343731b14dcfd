package statusctl

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// timeDetail describes the times that flags accept.
const timeDetail = `
TIME is RFC 3339, "2006-01-02 15:04:05", "2006-01-02", "03:12" for the last time
it was that, "today", "yesterday" or "yesterday 03:12", or how long ago, such as
2h, 90m or 30d. Where it names no zone, it is in that of -tz.`

// parseWhen reads a moment as a person gives it; "" is unset.
func parseWhen(text string, zone *time.Location, now time.Time) (state.Instant, error) {
	if text == "" {
		return state.Instant{}, nil
	}
	for _, layout := range []string{time.RFC3339, query.TimeLayout, time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return state.InstantOf(at), nil
		}
	}
	if at, ok := parseClock(text, now.In(zone)); ok {
		return state.InstantOf(at), nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return state.InstantOf(now.Add(-ago)), nil
	}
	if days, err := strconv.ParseUint(strings.TrimSuffix(text, "d"), 10, 16); err == nil && strings.HasSuffix(text, "d") {
		return state.InstantOf(now.AddDate(0, 0, -int(days))), nil
	}
	return state.Instant{}, fmt.Errorf("%q is no time: it is one such as 03:12, yesterday, 2h or 2006-01-02", text)
}

// span reads the values of -since and -until.
func (t *tool) span(since, until string) (s store.Span, err error) {
	now := t.now()
	if s.Since, err = parseWhen(since, t.zone, now); err != nil {
		return s, &usageError{problem: "-since: " + err.Error()}
	}
	if s.Until, err = parseWhen(until, t.zone, now); err != nil {
		return s, &usageError{problem: "-until: " + err.Error()}
	}
	return s, nil
}

// parseClock reads a time of day: the last one that is not after now, or that of
// today or yesterday. A day without a time of day is its beginning.
func parseClock(text string, now time.Time) (at time.Time, ok bool) {
	day, clock, _ := strings.Cut(text, " ")
	back := 0
	switch day {
	case "today":
	case "yesterday":
		back = 1
	default:
		day, clock = "", text
	}
	var hour, minute, second int
	if clock != "" || day == "" {
		of, err := time.Parse(time.TimeOnly, clock)
		if err != nil {
			of, err = time.Parse("15:04", clock)
		}
		if err != nil {
			return at, false
		}
		hour, minute, second = of.Clock()
	}
	on := func(back int) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()-back, hour, minute, second, 0, now.Location())
	}
	if at = on(back); day == "" && at.After(now) {
		at = on(1)
	}
	return at, true
}
