// Package engine records what happens to pipelines: it takes operations from
// many goroutines, applies them to trees in memory, commits them in groups and
// answers when they are durable.
//
//	e, err := engine.Open(ctx, s, nil)
//	root, err := e.Create(ctx, "2", "10")
//	_, err = e.Start(ctx, root.Node)
//	node, err := e.Enter(ctx, root.Node, state.ServiceActivity, engine.Name("build"))
//	_, err = e.Finish(ctx, node.Node)
//
// # What an answer means
//
// What a method recorded is durable when the method returns without error, as far
// as the store is. Nothing is answered, visible or published before its commit;
// [Engine.Submit] alone answers earlier. A refusal (an
// [*state.Error]) changed nothing. When a context ends while an operation is
// queued, waiting stops, but the operation is not taken back; give it
// [Idempotent] and [IfVersion] and ask again to learn what became of it.
//
// # Several engines
//
// Engines on one store, in several processes if the store can, may work on the
// same tasks. Requests that rest on what another engine has changed are applied
// again to the task as it is, which no answer shows. If that happens to them 8
// times in a row, the error matches [store.ErrConflict]: nothing was recorded,
// and the request can be given again.
//
// # Who commits
//
// At most one commit runs at a time. A caller that finds nobody committing
// commits its own operations at once, and those of all callers in the queue; if
// more came during its commit, a goroutine continues until the queue is empty. A
// lone writer commits at once, apart from a pause of microseconds after a busy
// moment. Under load no caller has to commit for others once its own answer is
// there.
//
// Under load the goroutine applies requests as they come and commits when
// everybody who was just answered is back, or nothing more comes: measured with
// 256 writers that made commits of 250 out of commits of 175, and a third more
// transitions. Making one group while another one syncs was tried and measured
// no better, with 1,024 writers neither: each half of the writers then pays for
// a sync of its own.
//
// # Memory
//
// Trees stay in memory up to a bound and can be dropped at any time, because every
// tree can be read again from the store. Readers get an immutable
// tree: they never wait for a commit and never hold one up.
package engine
