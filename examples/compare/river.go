package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// riverQueue is River on SQLite, with one connection, as its driver advises,
// and set to fetch jobs as often as it allows.
type riverQueue struct {
	db   *sql.DB
	idle *river.Client[*sql.Tx] // inserts and lists, works no jobs

	mu   sync.Mutex // protects left
	left map[string]*countdown
}

// countdown is the jobs of a task that are not completed.
type countdown struct {
	n    int
	zero chan struct{}
}

type riverNode struct {
	Node int `json:"node"`
}

func (riverNode) Kind() string { return "activity" }

type riverWorker struct {
	river.WorkerDefaults[riverNode]
}

func (riverWorker) Work(context.Context, *river.Job[riverNode]) error { return nil }

func (r *riverQueue) open(ctx context.Context, dir string) (err error) {
	if r.db, err = sql.Open("sqlite", dsn(filepath.Join(dir, "river.db"))); err != nil {
		return err
	}
	r.db.SetMaxOpenConns(1)
	r.left = make(map[string]*countdown)
	driver := riversqlite.New(r.db)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	r.idle, err = river.NewClient(driver, &river.Config{Logger: slog.New(slog.DiscardHandler)})
	return err
}

// employ implements [employer].
func (r *riverQueue) employ(ctx context.Context, workers int) (stop func() error, err error) {
	registry := river.NewWorkers()
	river.AddWorker(registry, riverWorker{})
	c, err := river.NewClient(riversqlite.New(r.db), &river.Config{
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Workers:       registry,
		Logger:        slog.New(slog.DiscardHandler),
		FetchCooldown: river.FetchCooldownMin, FetchPollInterval: 10 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	completed, _ := c.SubscribeConfig(&river.SubscribeConfig{
		Kinds: []river.EventKind{river.EventKindJobCompleted}, ChanSize: 10_000,
	})
	go r.count(completed)
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	return func() error { return c.Stop(ctx) }, nil
}

// count counts completed jobs, which River reports once they are in the file, until
// the client stops.
func (r *riverQueue) count(completed <-chan *river.Event) {
	for e := range completed {
		r.mu.Lock()
		task := e.Job.Tags[0]
		if c := r.left[task]; c != nil {
			if c.n--; c.n == 0 {
				close(c.zero)
				delete(r.left, task)
			}
		}
		r.mu.Unlock()
	}
}

// record inserts the jobs of a task and waits until they are completed.
func (r *riverQueue) record(ctx context.Context, task string, n int) error {
	c := &countdown{n: n, zero: make(chan struct{})}
	r.mu.Lock()
	r.left[task] = c
	r.mu.Unlock()
	jobs := make([]river.InsertManyParams, n)
	for i := range jobs {
		jobs[i] = river.InsertManyParams{Args: riverNode{i}, InsertOpts: &river.InsertOpts{Tags: []string{task}}}
	}
	if _, err := r.idle.InsertMany(ctx, jobs); err != nil {
		return err
	}
	select {
	case <-c.zero:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *riverQueue) status(ctx context.Context, task string) (answer []byte, nodes int, err error) {
	list, err := r.idle.JobList(ctx, river.NewJobListParams().TagsAll(task).First(10_000))
	if err != nil {
		return nil, 0, err
	}
	answer, err = json.Marshal(list.Jobs)
	return answer, len(list.Jobs), err
}

func (r *riverQueue) close(ctx context.Context) error {
	return errors.Join(requireAllFull(ctx, r.db), r.db.Close())
}
