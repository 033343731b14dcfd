package state

import "time"

// Node is one node of a task with all its values, as [Tree.Node] returns it.
type Node struct {
	ID string
	// Index is the node's place in the order of creation within its task; the
	// root's is 0. It never changes.
	Index int
	Kind  Kind
	Declaration
	Progress
}

// DisplayName is the name the snapshot shows: Name, or the kind's class
// string if it has none.
func (n *Node) DisplayName() string { return displayName(n.Name, n.Kind) }

func displayName(name string, k Kind) string {
	if name == "" {
		return k.Class()
	}
	return name
}

// Declaration holds the values from the declaration of a node; it never changes.
type Declaration struct {
	Parent          string // ID of the container it is in, "" for the root
	ParentIndex     int    // its index, -1 for the root
	Name            string // "" stands for the kind's class string
	NoRetry, NoSkip bool
	MaxLoops        int // 0: no limit
	// Key is the runner's name for the node, unique in its task; "" without one.
	Key string
	// After are the nodes of the same container that lead to this one.
	After Edges
}

// Progress is everything about a node that operations change.
type Progress struct {
	Attempt
	// Updated is the time of the node's last transition, its creation included.
	Updated Instant
	// Supersedes is the version of the previous attempt, unset for the first.
	Supersedes Version
	// Note says what a SUSPENDED node waits for.
	Note string
}

// Attempt is one execution of a node. In a node's history it holds the values
// as they were before the operation that superseded it.
type Attempt struct {
	Version Version
	// State is the own state; what a container shows may differ, see [Tree.Shown].
	State State
	// Began is the operation that began the attempt; 0 in histories recorded
	// by programs that did not keep it.
	Began OpKind
	// Along says that the attempt began with the reset of a container above: Began
	// is Reset, but the reset named another node.
	Along bool
	// Paused says that the attempt has been suspended, perhaps resumed since.
	Paused bool
	// Loop counts the passes through the node, from 1. Retries and Skips count
	// those operations over the node's life.
	Loop, Retries, Skips int
	// Skipped says that the attempt is a skip.
	Skipped bool
	// ErrorIgnored says that the attempt failed and the failure was ignored.
	ErrorIgnored bool
	// Started and Finished are unset until it happened.
	Started, Finished Instant
	// Error is the text of the failure, also of an ignored one, or the reason
	// of a revoke.
	Error string
	// RetryAt is the time of the announced automatic retry of a failed leaf,
	// unset without one.
	RetryAt Instant
	// CameFrom is the index of the node of the same container that led to the
	// attempt, if the runner named one; otherwise 0.
	CameFrom int
}

// Retry is the retry count that get_task_status shows: retries and skips together.
func (a *Attempt) Retry() int { return a.Retries + a.Skips }

// Number is the number of the attempt among those of its node, from 1: each
// operation that begins another one adds 1 to one of the counts.
func (a *Attempt) Number() int { return a.Loop + a.Retries + a.Skips }

// Elapsed is the time from the start of the attempt to its end, or until now while it
// has not ended; 0 before it starts, and 292 years at most.
func (a *Attempt) Elapsed(now Instant) time.Duration {
	if a.Finished.IsSet() {
		now = a.Finished
	}
	return now.Since(a.Started)
}

// Transition is the effect of one accepted operation. It holds resulting values, so
// that [Tree.Replay] and stores need no rules. Transitions are shared between
// goroutines and must not be modified.
type Transition struct {
	// Sequence is the transition's number in its store, from 1 without gaps.
	// 0 until it is committed.
	Sequence uint64
	Task     Key
	Op       OpKind
	// At is the effective time, Recorded the recording clock's. They differ
	// for imports and when the clock went backwards.
	At, Recorded Instant
	Actor        string
	// Shown is the shown state of the task after the transition, by the default
	// convention, and Pending the number of its leaves that then await their
	// automatic retry.
	Shown   State
	Pending int
	// Changes are the changed nodes: first the node that the operation named, then
	// other nodes in the order of creation. Empty only for [Delete] and [Label].
	Changes []Change
	// Labels are those of the task after it. Create and Label only.
	Labels Labels
	// Data is the input or the output of the attempt that the first change leads
	// to, see [Transition.Input] and [Transition.Output].
	Data *Data
}

// Node is the ID of the node the operation named, "" for [Delete] and
// [Label].
func (tr *Transition) Node() string {
	if len(tr.Changes) == 0 {
		return ""
	}
	return tr.Changes[0].ID
}

// Change is the effect of a transition on one node.
type Change struct {
	ID    string
	Index int
	Kind  Kind
	// Declared is set if and only if the transition created the node.
	Declared *Declaration
	// From is the own state before, 0 for a new node.
	From State
	// Progress holds the values after.
	Progress
	// Superseded is the attempt that went into the node's history, nil if the
	// current attempt continues.
	Superseded *Attempt
}

// Counts is a number of nodes for each state, indexed by [State].
type Counts [stateEnd]int

// Total is the sum over all states.
func (c *Counts) Total() (n int) {
	for _, k := range c {
		n += k
	}
	return n
}
