package runner

import (
	"context"
	"encoding/json"

	"github.com/pipestatus/pipestatus/state"
)

// served is what is served beside the record: the definitions of tasks.
type served struct {
	task state.Key // the one that runs
	def  *definition
	log  Log
}

// definition is what a task began with, nil if no runner began it. It may be
// called from many goroutines.
func (s *served) definition(ctx context.Context, business, task string) (json.RawMessage, error) {
	if key := (state.Key{Business: business, Task: task}); key != s.task {
		res, err := readResults(ctx, s.log, key)
		return res.definition, err
	}
	return s.def.source, nil
}
