package main

import (
	"context"
	"time"
)

// contender is a way to record tasks and to tell their status.
type contender interface {
	// open makes a store in a new directory.
	open(ctx context.Context, dir string) error
	// work has so many writers start and finish the nodes of tasks, one node
	// after the other, for about so long: no task begins later, and all come
	// to their end. It returns how many nodes were done in what time, durably.
	work(ctx context.Context, writers, nodes int, d time.Duration) (done int, took time.Duration, err error)
	// record makes a task of n nodes, all finished.
	record(ctx context.Context, task string, n int) error
	// status is the state and the times of each node of a task as JSON, and
	// how many nodes that is. The answer is valid until the next call, and
	// one call is made at a time.
	status(ctx context.Context, task string) (answer []byte, nodes int, err error)
	// close checks that what it did was in the durable setting, and ends it.
	close(ctx context.Context) error
}

// entry is a contender with what to say about it.
type entry struct {
	name string
	// module is where it comes from, for its version.
	module string
	// node is what starting and finishing one node includes.
	node string
	// asked is how its status comes about.
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
