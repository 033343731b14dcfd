package httpapi

import "github.com/pipestatus/pipestatus/state"

// countTasks counts the tasks that a list with the same filters has, by the state
// they show: those among the newest, as many as one list looks at.
func (h *Handler) countTasks(x *exchange) error {
	f, err := h.filter(x)
	if err != nil {
		return err
	}
	var counts state.Counts
	unfinished, failures, seen := 0, 0, 0
	f.Limit = listMax
	for {
		tasks, last, err := h.listSome(x, &f, &seen)
		if err != nil {
			return err
		}
		for i := range tasks {
			counts[tasks[i].Shown]++
			if tasks[i].Unfinished() {
				unfinished++
			}
			if tasks[i].HasFailures() {
				failures++
			}
		}
		if last {
			break
		}
	}
	return x.respond("", func(s *sink) error {
		s.field(`{"states":`, byName(&counts))
		s.field(`,"unfinished":`, unfinished)
		s.field(`,"has_failures":`, failures)
		s.field(`,"more":`, f.missing > 0 || f.Cursor != "" && !f.hides) // not every caller may know that there are others
		s.text("}")
		return nil
	})
}
