package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/history"
	"github.com/cschleiden/go-workflows/backend/monoprocess"
	"github.com/cschleiden/go-workflows/backend/sqlite"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
)

// goWorkflows is go-workflows on SQLite, with its wrapper for a worker in the
// same process, which avoids polling. It opens the file itself and leaves
// synchronous at SQLite's default, FULL, which is set explicitly here.
type goWorkflows struct {
	path    string
	backend backend.Backend
	client  *client.Client
	worker  *worker.Worker
	stop    context.CancelFunc

	mu        sync.Mutex // protects everything below
	instances map[string]*workflow.Instance
	running   map[string]chan struct{} // closed when all nodes of a task have finished
}

func (g *goWorkflows) open(ctx context.Context, dir string) error {
	g.path = filepath.Join(dir, "goworkflows.db")
	g.instances, g.running = make(map[string]*workflow.Instance), make(map[string]chan struct{})
	g.backend = monoprocess.NewMonoprocessBackend(sqlite.NewSqliteBackend(g.path+"?_pragma=synchronous(FULL)",
		sqlite.WithBackendOptions(backend.WithLogger(slog.New(slog.DiscardHandler)))))
	g.client = client.New(g.backend)
	g.worker = worker.New(g.backend, nil)
	if err := errors.Join(g.worker.RegisterWorkflow(g.task), g.worker.RegisterActivity(goWorkflowsNode)); err != nil {
		return err
	}
	ctx, g.stop = context.WithCancel(ctx)
	return g.worker.Start(ctx)
}

// task is a workflow of n activities. When it receives the last result, the result
// is in the file, and the waiting writer is notified: the library's own wait polls
// at growing intervals.
func (g *goWorkflows) task(ctx workflow.Context, task string, n int) error {
	for range n {
		if _, err := workflow.ExecuteActivity[int](ctx, workflow.DefaultActivityOptions, goWorkflowsNode).Get(ctx); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if done := g.running[task]; done != nil { // nil when it is replayed
		close(done)
		delete(g.running, task)
	}
	return nil
}

func goWorkflowsNode(context.Context) (int, error) { return 0, nil }

func (g *goWorkflows) record(ctx context.Context, task string, n int) error {
	done := make(chan struct{})
	g.mu.Lock()
	g.running[task] = done
	g.mu.Unlock()
	instance, err := g.client.CreateWorkflowInstance(ctx, client.WorkflowInstanceOptions{InstanceID: task}, g.task, task, n)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.instances[task] = instance
	g.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// activity is the state of an activity after its events.
type activity struct {
	ID       int64     `json:"id"`
	Name     string    `json:"name"`
	State    string    `json:"state"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
}

func (g *goWorkflows) status(ctx context.Context, task string) (answer []byte, nodes int, err error) {
	g.mu.Lock()
	instance := g.instances[task]
	g.mu.Unlock()
	if instance == nil {
		return nil, 0, fmt.Errorf("no instance of task %s", task)
	}
	state, err := g.client.GetWorkflowInstanceState(ctx, instance)
	if err != nil {
		return nil, 0, err
	}
	events, err := g.backend.GetWorkflowInstanceHistory(ctx, instance, nil)
	if err != nil {
		return nil, 0, err
	}
	activities := fold(events)
	answer, err = json.Marshal(struct {
		State      int         `json:"state"`
		Activities []*activity `json:"activities"`
	}{int(state), activities})
	return answer, len(activities), err
}

// fold makes activities of their events.
func fold(events []*history.Event) (list []*activity) {
	byID := make(map[int64]*activity)
	for _, e := range events {
		a := byID[e.ScheduleEventID]
		switch e.Type {
		case history.EventType_ActivityScheduled:
			a = &activity{ID: e.ScheduleEventID, State: "SCHEDULED", Started: e.Timestamp}
			if attributes, ok := e.Attributes.(*history.ActivityScheduledAttributes); ok {
				a.Name = attributes.Name
			}
			byID[a.ID] = a
			list = append(list, a)
		case history.EventType_ActivityCompleted:
			a.State, a.Finished = "COMPLETED", e.Timestamp
		case history.EventType_ActivityFailed:
			a.State, a.Finished = "FAILED", e.Timestamp
		}
	}
	return list
}

func (g *goWorkflows) close(context.Context) error {
	g.stop()
	err := g.worker.WaitForCompletion()
	return errors.Join(err, requireLastFull(g.path), g.backend.Close())
}
