// Package state is the domain of pipestatus: tasks, their nodes, the
// operations on them and the rules that decide which operation is legal.
//
// # Words
//
// A task is one execution of a pipeline, named by a [Key]. A [Tree] is one
// task with all its nodes: the root pipeline, subprocesses (both containers)
// and leaves. An [Attempt] is one execution of a node, from its creation,
// retry, loop, reset or reopening to its end; its [Version] names it. A
// [Transition] is what one accepted [Op] did, as outcomes: the new values of
// every node it changed.
//
// # Rules
//
// [Tree.Apply] is the only place where the rules live. Everything else in the
// module carries outcomes: a tree rebuilt from its transitions with
// [Tree.Replay] equals the original, and no rule runs to do so.
//
// RULES.md, beside this file, is the document of the rules: the table of
// operations with what each asks for and does, a diagram, and the reasons.
//
// What a container shows is rolled up from below, see [Tree.Shown]; it is
// never stored as its own state, so a pipeline recovers by itself when its
// failed node is retried or skipped.
//
// # Trees are values
//
// A Tree never changes. Apply returns a new tree that shares everything the
// operations did not touch, at the cost of the node's depth and not of the
// tree's size. So readers need no lock and never see half an operation, a
// refused operation has nothing to undo, and a commit that fails leaves
// nothing behind: its tree is dropped.
//
// The package does no I/O, reads no clock, starts no goroutine and draws no
// IDs: times, IDs and versions arrive in the operations.
package state
