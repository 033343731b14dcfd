package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite" // DBOS asks for it
)

// dbosTransact is DBOS Transact on SQLite. Given a URL it sets
// synchronous=NORMAL, on one connection even over a setting in the URL; so it
// gets a handle of our own, with otherwise the same settings.
type dbosTransact struct {
	db   *sql.DB
	dbos dbos.Context
}

func (d *dbosTransact) open(ctx context.Context, dir string) (err error) {
	if d.db, err = sql.Open("sqlite", dsn(filepath.Join(dir, "dbos.db"))); err != nil {
		return err
	}
	d.db.SetMaxOpenConns(8)
	d.db.SetMaxIdleConns(4)
	d.dbos, err = dbos.NewContext(ctx, dbos.Config{
		AppName: "compare", SQLiteSystemDB: d.db, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	dbos.RegisterWorkflow(d.dbos, dbosTask)
	return dbos.Launch(d.dbos)
}

// dbosTask is a workflow of n steps.
func dbosTask(ctx dbos.Context, n int) (int, error) {
	for range n {
		if _, err := dbos.RunAsStep(ctx, dbosNode, dbos.WithStepName("activity")); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func dbosNode(context.Context) (int, error) { return 0, nil }

func (d *dbosTransact) record(ctx context.Context, task string, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	handle, err := dbos.RunWorkflow(d.dbos, dbosTask, n, dbos.WithWorkflowID(task))
	if err != nil {
		return err
	}
	_, err = handle.GetResult()
	return err
}

func (d *dbosTransact) status(_ context.Context, task string) (answer []byte, nodes int, err error) {
	workflows, err := dbos.ListWorkflows(d.dbos, dbos.WithFilterWorkflowIDs(task),
		dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false))
	if err != nil {
		return nil, 0, err
	}
	if len(workflows) != 1 {
		return nil, 0, fmt.Errorf("%d workflows of ID %s", len(workflows), task)
	}
	steps, err := dbos.GetWorkflowSteps(d.dbos, task, dbos.WithStepsLoadOutput(false))
	if err != nil {
		return nil, 0, err
	}
	answer, err = json.Marshal(struct {
		Workflow *dbos.WorkflowStatus
		Steps    []dbos.StepInfo
	}{&workflows[0], steps})
	return answer, len(steps), err
}

func (d *dbosTransact) close(ctx context.Context) error {
	err := requireAllFull(ctx, d.db)
	return errors.Join(err, dbos.Shutdown(d.dbos, 10*time.Second), d.db.Close())
}
