package storetest

import (
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var sizeCases = []testCase{
	{
		"large and deep tasks come back",
		"a task of 3,000 nodes on 90 levels is kept like any other",
		largeTask,
	},
	{
		"wide transitions come back",
		"a transition that changes a thousand nodes is kept like any other",
		wideTransition,
	},
}

// deep makes a task with a chain of running subprocesses, levels deep, and
// returns its containers from the root down.
func deep(c *trial, task string, levels int) (w *writer, containers []string) {
	c.Helper()
	w = c.started("2", task)
	containers = []string{task}
	for len(containers) < levels {
		id := fmt.Sprintf("%s.sub%d", task, len(containers))
		w.do(declare(id, containers[len(containers)-1], state.Subprocess), on(state.Start, id))
		containers = append(containers, id)
	}
	return w, containers
}

func largeTask(c *trial) {
	const levels, nodes, step = 90, 3_000, 97
	w, containers := deep(c, "10", levels-1)
	for w.tree.Len() < nodes {
		var ops []state.Op
		for i := range min(step, nodes-w.tree.Len()) {
			n := w.tree.Len() + i
			id := fmt.Sprintf("%032x", n)
			ops = append(ops, declare(id, containers[n%len(containers)], state.ServiceActivity))
			if n%5 == 0 {
				ops = append(ops, on(state.Start, id))
			}
			if n%10 == 0 {
				ops = append(ops, with(on(state.Fail, id), func(op *state.Op) { op.Error = id }))
			}
		}
		w.do(ops...)
	}
	c.reopen()
	w.expect()
	w.do(on(state.Start, fmt.Sprintf("%032x", nodes-1)), declare("one more", containers[levels-2], state.EndEvent))
	c.reopen()
	w.expectTree()
	if n := c.load(store.ByNode("one more")).Index; n != nodes {
		c.broken("the last node has index %d, want %d", n, nodes)
	}
	w.delete()
	c.reopen()
	c.expectAbsent(w.key(), containers[levels-2], "one more")
	c.expectNothing()
}

func wideTransition(c *trial) {
	const nodes = 1_000
	w, containers := deep(c, "10", 20)
	var declared, suspended []state.Op
	for i := range nodes {
		id := fmt.Sprintf("n%d", i)
		declared = append(declared, declare(id, containers[i%len(containers)], state.ServiceActivity))
		suspended = append(suspended, on(state.Suspend, id))
	}
	w.do(declared...)
	w.do(suspended...)
	c.reopen()
	w.do(on(state.Revoke, "10"))
	if n := len(w.transitions[len(w.transitions)-1].Changes); n != nodes+len(containers) {
		c.Fatalf("the suite's revoke changes %d nodes", n)
	}
	w.expect()
	c.reopen()
	w.expect()
	c.expectFeed()
}
