// Package state is the domain of pipestatus: tasks, their nodes, the
// operations on them and the rules that decide which operation is legal.
//
// # Words
//
// A task is one execution of a pipeline, named by a [Key]. A [Tree] is one
// task with all its nodes: the root pipeline, subprocesses (both containers)
// and leaves. An [Attempt] is one execution of a node, from its creation,
// retry, loop, reset or reopening to its end; its [Version] names it. A
// [Transition] is the effect of one accepted [Op]: the resulting values of every node
// that it changed.
//
// # Rules
//
// [Tree.Apply] is the only place where the rules live. Everything else in the
// module carries resulting values: a tree rebuilt from its transitions with
// [Tree.Replay] equals the original, without running a rule.
//
// RULES.md in this directory documents the rules: the table of operations with the
// conditions and effects of each, a diagram, and the reasons.
//
// The shown state of a container is computed from the nodes below, see
// [Tree.Shown]. It is never stored as the own state: a pipeline stops showing
// FAILED as soon as its failed node is retried or skipped.
//
// # Trees are values
//
// A Tree never changes. Apply returns a new tree that shares all unchanged nodes;
// its cost depends on the node's depth and not on the tree's size. Readers need no
// lock and never see half an operation, a refused operation has nothing to undo, and
// after a failed commit the new tree is simply dropped.
//
// The package does no I/O, reads no clock, starts no goroutine and draws no
// IDs: times, IDs and versions arrive in the operations.
package state
