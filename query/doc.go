// Package query answers "what is the status of this task, or of this node?"
// in-process: requests in, values or JSON out. It reads any [store.Reader], a
// store alone or an engine, whose trees come from memory, and never writes.
//
//	q := query.New(e, nil)
//	status, err := q.Status(ctx, "2", "10")
//	body, err := q.AppendJSON(ctx, nil, "2", "10")
//
// [Query.List], [Query.History], [Query.Timeline] and [Query.AsOf] answer
// about many tasks, a node's attempts, all attempts in time, and the past.
// [Query.Node] tells everything of one node, its inputs and outputs included.
// [Query.Statistics] tells how the last runs of a pipeline went, and
// [Query.Estimate] predicts when a running task will end.
//
// Package picture draws what is answered, for terminals and for pages.
//
// # Who is asked for
//
// A request names a business and a task. If the business has no such task, the
// value is looked up as a node ID, whose task must belong to that business.
// Anything else is not found, and nothing in the answer tells which: no request
// can learn what exists in another business.
//
// # Missing nothing
//
// A [store.Snapshot] has the tree, whose Revision tells its last transition, and
// the store's Position from before the tree was read. A watcher that begins at
// that position, and leaves out this task's transitions up to the revision, has
// neither gap nor duplicate.
package query
