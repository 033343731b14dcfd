package statusctl

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
)

// timeDetail says how people give the times that a command's flags take.
const timeDetail = `
TIME is RFC 3339, "2006-01-02 15:04:05", "2006-01-02", or how long ago, such as
36h or 30d. Where it names no zone, it is in that of -tz.`

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
	if ago, err := time.ParseDuration(text); err == nil {
		return state.InstantOf(now.Add(-ago)), nil
	}
	if days, err := strconv.ParseUint(strings.TrimSuffix(text, "d"), 10, 16); err == nil && strings.HasSuffix(text, "d") {
		return state.InstantOf(now.AddDate(0, 0, -int(days))), nil
	}
	return state.Instant{}, fmt.Errorf("%q is no time", text)
}
