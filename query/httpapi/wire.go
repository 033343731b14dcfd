package httpapi

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
)

// detailFields are those that the later calls have by default.
const detailFields = query.FieldElapsedTime | query.FieldErrorIgnored | query.FieldErrorIgnorable | query.FieldStateRefreshAt

// wireID is an ID in the form of the later calls: a number if every client reads it
// exactly, otherwise a string.
func wireID(id string) any {
	const exact = 1 << 53
	if n, err := strconv.ParseInt(id, 10, 64); err == nil && n >= 0 && n <= exact && strconv.FormatInt(n, 10) == id {
		return json.Number(id)
	}
	return id
}

// flow is current_flow: the phase of a task for clients.
func flow(root state.State) string {
	if root.Ended() {
		return "finished"
	}
	return "execute_task"
}

// refreshed is a time in the form of state_refresh_at.
func refreshed(i state.Instant) string {
	if !i.IsSet() {
		return ""
	}
	return i.Time().UTC().Format(query.RefreshLayout)
}

// wire is a time in the form of the documented calls.
func (h *Handler) wire(i state.Instant) string {
	if !i.IsSet() {
		return ""
	}
	return i.In(h.location()).Format(query.TimeLayout)
}

func (h *Handler) location() *time.Location {
	if l := h.opts.Query.Location; l != nil {
		return l
	}
	return time.Local
}

func (h *Handler) now() state.Instant {
	if h.opts.Query.Now != nil {
		return state.InstantOf(h.opts.Query.Now())
	}
	return state.InstantOf(time.Now())
}

// elapsed is the whole seconds that an attempt has taken.
func (h *Handler) elapsed(a *state.Attempt) int64 { return int64(a.Elapsed(h.now()) / time.Second) }
