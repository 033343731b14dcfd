package state

// rule defines the states from which an operation on an existing node may start, the
// states it leads to, and the conditions around the node. The table below is the
// table of RULES.md; effect.go has the effects on the node's values.
type rule struct {
	from     set // own states it may start from
	leafFrom set // for leaves these too, if node.mayLeave says so
	to       set // own states it may lead to
	place    place
	above    guard // condition on the ancestors
	children set   // own states no child of a container may be in
	below    set   // own states no node below a container may be in
}

var rules = [opEnd]rule{
	Start: {from: in(Created), to: in(Running), above: runningAbove},
	Finish: {
		from: in(Running), leafFrom: in(Suspended), to: in(Finished),
		above: containerNotEndedAbove, children: in(Running, Suspended, Failed),
	},
	Fail:    {from: in(Running), leafFrom: in(Suspended, Failed), to: in(Failed, Finished), children: in(Running, Suspended)},
	Retry:   {from: in(Failed), to: in(Created), place: notRoot, above: notEndedAbove},
	Skip:    {from: in(Created, Failed), to: in(Finished), place: notRoot, above: notEndedAbove, children: in(Running, Suspended)},
	Loop:    {from: in(Finished), to: in(Running), place: notRoot, above: runningAbove},
	Suspend: {from: in(Created, Running), to: in(Suspended), above: notEndedAbove},
	Resume:  {from: in(Suspended), to: in(Created, Running), above: notEndedAbove},
	Revoke:  {from: in(Created, Running, Suspended, Failed), to: in(Revoked)},
	Reset: {
		from: in(Finished, Failed, Revoked), to: in(Created),
		place: notRoot, above: notEndedAbove, below: in(Running, Suspended),
	},
	Reopen: {from: in(Finished, Failed, Revoked), to: in(Running), place: onlyRoot},
}

// onNodes are the operations on existing nodes, in the order of RULES.md.
var onNodes = []OpKind{Start, Finish, Fail, Retry, Skip, Loop, Reset, Reopen, Suspend, Resume, Revoke}

// place restricts the nodes of a task to which an operation applies.
type place uint8

const (
	anyPlace place = iota
	notRoot
	onlyRoot
)

// set is a set of states.
type set uint8

func in(states ...State) (s set) {
	for _, st := range states {
		s |= 1 << st
	}
	return s
}

func (s set) has(st State) bool { return s&(1<<st) != 0 }

func (s set) without(st State) set { return s &^ (1 << st) }

// guard is a condition on the own states of a node's ancestors.
type guard uint8

const (
	anyAbove               guard = iota // no condition: running work may always report
	runningAbove                        // every ancestor is RUNNING
	notEndedAbove                       // no ancestor is FINISHED, FAILED or REVOKED
	containerNotEndedAbove              // the same for containers, nothing for leaves
)

// allows reports whether the own state of an ancestor satisfies the guard for
// a node that is a container or not.
func (g guard) allows(ancestor State, container bool) bool {
	switch g {
	case runningAbove:
		return ancestor == Running
	case notEndedAbove:
		return !ancestor.Ended()
	case containerNotEndedAbove:
		return !container || !ancestor.Ended()
	}
	return true
}
