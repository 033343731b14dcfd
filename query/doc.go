// Package query answers "what is the status of this task, or of this node?"
// in-process: requests in, values or JSON out. It reads any [store.Reader], which
// is a store or an engine (whose trees come from memory), and never writes.
//
//	q := query.New(e, nil)
//	status, err := q.Status(ctx, "2", "10")
//	body, err := q.AppendJSON(ctx, nil, "2", "10")
//
// [Query.List] lists tasks, [Query.History] the attempts of a node, and
// [Query.Timeline] all attempts of a task in time; [Query.AsOf] shows the past.
// [Query.Node] returns everything about one node, including inputs and outputs.
// [Query.Statistics] summarizes the last runs of a pipeline, [Query.Estimate]
// predicts when a running task will end, and [Query.Compare] puts two runs side
// by side.
//
// In this package "documented" means: as Standard OPS of BlueKing documents its call
// get_task_status, whose format the answers have.
//
// Package picture draws the answers, for terminals and for web pages.
//
// # Names in a request
//
// A request names a business and a task. If the business has no such task, the
// value is looked up as a node ID, whose task must belong to that business.
// Anything else is reported as not found, in the same words in every case, because
// a request must not reveal whether something exists in another business.
//
// # From a snapshot to a watch
//
// A [store.Snapshot] holds the tree, whose Revision is the sequence of its last
// transition, and the store's Position from before the tree was read. A watcher
// that begins at that position and ignores this task's transitions up to the
// revision sees every later transition exactly once.
package query
