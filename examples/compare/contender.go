package main

import (
	"context"
)

// contender is a way to record tasks and to answer their status.
type contender interface {
	// open makes a store in a new directory.
	open(ctx context.Context, dir string) error
	// record makes a task of n nodes and returns when all have finished durably.
	// Several writers may call it at once.
	record(ctx context.Context, task string, n int) error
	// status is the state and the times of each node of a task as JSON, and
	// how many nodes that is. The answer is valid until the next call, and
	// one call is made at a time.
	status(ctx context.Context, task string) (answer []byte, nodes int, err error)
	// close checks that what it did was in the durable setting, and ends it.
	close(ctx context.Context) error
}

// employer is a contender that needs workers while tasks are recorded.
type employer interface {
	employ(ctx context.Context, workers int) (dismiss func() error, err error)
}

// entry is a contender with its description.
type entry struct {
	name string
	// module is its module path, to look up the version.
	module string
	// node describes the work of starting and finishing one node.
	node string
	// asked describes how its status is computed.
	asked string
	contender
}

func entries() []entry {
	return []entry{
		{
			"pipestatus", "", "two commits of its own (declare and start, finish); a task adds a create and start, and a finish",
			"the documented snapshot, from the tree in memory", &pipestatus{},
		},
		{
			"pipestatus, start not waited for", "",
			"the same transitions, but only the node's end is waited for, as with DBOS; a start that is still queued shares the end's commit",
			"the same", &pipestatus{submits: true},
		},
		{
			"bbolt, by hand", "go.etcd.io/bbolt", "two Updates of one JSON record each, the second reads it first; no task, rules or history",
			"a View over the task's records, decoded and encoded again", &byHand{},
		},
		{
			"DBOS Transact", "github.com/dbos-inc/dbos-transact-golang",
			"one transaction when the step has ended, with both times; that it began is not recorded; a workflow adds a begin and an end; it also runs the code",
			"the workflow and its steps, without their outputs", &dbosTransact{},
		},
		{
			"go-workflows", "github.com/cschleiden/go-workflows",
			"scheduled by the workflow's turn, taken by a worker, completed: about four transactions, on the library's one connection; it also runs the code",
			"the workflow's state and history, from which the activities' states follow", &goWorkflows{},
		},
		{
			"River", "github.com/riverqueue/river",
			"a job: inserted with the task's others in one transaction, fetched in batches of what workers are free, completed by the library in batches; not in order; it also runs the code",
			"the task's jobs by their tag", &riverQueue{},
		},
	}
}
