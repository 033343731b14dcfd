package httpapi

import (
	"time"
)

// zoneYears is the number of years before and after now that zone covers.
const (
	zoneYearsBefore = 30
	zoneYearsAfter  = 2
)

// zoneChange is when the offset of a time zone changes, and what to.
type zoneChange struct {
	From   string `json:"from,omitempty"` // absent: since ever
	Offset int    `json:"offset"`         // seconds east of UTC
	Name   string `json:"name"`           // such as CEST
}

// zone answers the time zone of the handler's times: its name, and its offsets with
// the moments at which they change, so that a client can convert any time.
func (h *Handler) zone(x *exchange) error {
	now := h.now().Time()
	changes := zoneChanges(h.location(), now.AddDate(-zoneYearsBefore, 0, 0), now.AddDate(zoneYearsAfter, 0, 0))
	name := h.location().String()
	if name == "Local" {
		name = "" // the system does not tell
	}
	return x.respond("", func(s *sink) error {
		s.field(`{"name":`, name)
		s.field(`,"now":`, h.time(h.now()))
		s.field(`,"changes":`, changes)
		s.text("}")
		return nil
	})
}

// zoneChanges are the offsets of a location between two moments, oldest first.
func zoneChanges(l *time.Location, from, until time.Time) (changes []zoneChange) {
	for at := from.In(l); ; {
		name, offset := at.Zone()
		change := zoneChange{Offset: offset, Name: name}
		start, end := at.ZoneBounds()
		if len(changes) > 0 {
			change.From = start.UTC().Format(time.RFC3339)
		}
		changes = append(changes, change)
		if end.IsZero() || end.After(until) {
			return changes
		}
		at = end
	}
}
