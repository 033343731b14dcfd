package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/history"
	"github.com/cschleiden/go-workflows/backend/payload"
	"github.com/cschleiden/go-workflows/workflow"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// recorder records instances of workflows from the histories that go-workflows
// keeps of them. An instance is a task, and an activity is a node whose key is the
// activity's name.
type recorder struct {
	engine    *engine.Engine
	histories backend.Backend
	business  string
}

// catchUp records the history of an instance so far. It can be called at any time,
// and begins with the first event each time: recorded events change nothing.
func (r *recorder) catchUp(ctx context.Context, instance *workflow.Instance) error {
	events, err := r.histories.GetWorkflowInstanceHistory(ctx, instance, nil)
	if err != nil {
		return err
	}
	t := task{business: r.business, id: instance.InstanceID, steps: make(map[int64]step), times: make(map[string]int)}
	for _, e := range events {
		if ops := t.operations(e); len(ops) > 0 {
			if _, err := r.engine.Record(ctx, ops...); err != nil {
				return fmt.Errorf("instance %s, event %s: %w", t.id, e.Type, err)
			}
		}
	}
	return nil
}

// task is an instance while its history is read.
type task struct {
	business, id string
	steps        map[int64]step // by the event that scheduled each
	times        map[string]int // how many steps an activity has been so far
	done         []string       // steps that completed since the last were scheduled
	after        []string       // those before them
}

// step is an attempt of an activity.
type step struct{ key, version string }

// operations returns the operations that record an event. Each can be delivered
// again.
func (t *task) operations(e *history.Event) []engine.Op {
	at, in, again := engine.At(e.Timestamp), engine.In(t.business, t.id), engine.Idempotent()
	switch a := e.Attributes.(type) {
	case *history.ExecutionStartedAttributes:
		labels := map[string]string{"workflow": a.Name, "queue": string(a.Queue)}
		return []engine.Op{
			engine.Create(t.business, t.id, engine.Name(a.Name), engine.Labels(labels), engine.Input(list(a.Inputs)), at, again),
			engine.Start("", in, engine.IfLoop(1), at, again),
		}
	case *history.ActivityScheduledAttributes:
		s := t.schedule(e, a)
		return []engine.Op{engine.Begin("", state.ServiceActivity, in, engine.Key(s.key), engine.Name(a.Name),
			engine.After(t.after...), engine.Input(list(a.Inputs)), engine.NewVersion(s.version), at)}
	case *history.ActivityCompletedAttributes:
		s := t.steps[e.ScheduleEventID]
		t.done = append(t.done, s.key)
		return []engine.Op{engine.Finish(s.key, in, engine.IfVersion(s.version), engine.Output(a.Result), at, again)}
	case *history.ActivityFailedAttributes:
		s := t.steps[e.ScheduleEventID]
		return []engine.Op{engine.Fail(s.key, a.Error.Error(), in, engine.IfVersion(s.version), at, again)}
	case *history.ExecutionCompletedAttributes:
		if a.Error != nil {
			return []engine.Op{engine.Fail("", a.Error.Error(), in, engine.IfLoop(1), at, again)}
		}
		// The workflow may have lived with an activity that failed.
		return []engine.Op{engine.Finish("", in, engine.Tolerate(), engine.IfLoop(1), engine.Output(a.Result), at, again)}
	}
	return nil
}

// schedule makes the step of an event: another attempt if the activity is tried
// again, else a new node. The history has no edges. A step comes after those that
// completed since the steps before it were scheduled.
func (t *task) schedule(e *history.Event, a *history.ActivityScheduledAttributes) step {
	if a.Attempt == 0 {
		t.times[a.Name]++
		if len(t.done) > 0 {
			t.after, t.done = t.done, nil
		}
	}
	s := step{a.Name, strings.ReplaceAll(e.ID, "-", "")}
	if n := t.times[a.Name]; n > 1 {
		s.key = fmt.Sprintf("%s %d", a.Name, n)
	}
	t.steps[e.ScheduleEventID] = s
	return s
}

// list is the arguments of a call as a JSON list.
func list(arguments []payload.Payload) []byte {
	values := make([]json.RawMessage, len(arguments))
	for i, a := range arguments {
		values[i] = json.RawMessage(a)
	}
	b, err := json.Marshal(values)
	if err != nil { // another converter than that of JSON was used
		return fmt.Append(nil, arguments)
	}
	return b
}
