package state

// rule says where an operation on an existing node starts from, where it
// leads, and what must hold around the node. The table below is the design's
// section 3; what an operation does to the node's values is in effect.
type rule struct {
	from     set // own states it may start from
	to       set // own states it may lead to
	notRoot  bool
	leafOnly bool
	above    guard // what must hold of the ancestors
	children set   // own states no child of a container may be in
}

var rules = [opEnd]rule{
	Start:   {from: in(Created), to: in(Running), above: runningAbove},
	Finish:  {from: in(Running), to: in(Finished), above: containerNotEndedAbove, children: in(Running, Suspended, Failed)},
	Fail:    {from: in(Running), to: in(Failed, Finished), children: in(Running, Suspended)},
	Retry:   {from: in(Failed), to: in(Created), notRoot: true, above: notEndedAbove},
	Skip:    {from: in(Failed), to: in(Finished), leafOnly: true, above: notEndedAbove},
	Loop:    {from: in(Finished), to: in(Running), notRoot: true, above: runningAbove},
	Suspend: {from: in(Created, Running), to: in(Suspended), above: notEndedAbove},
	Resume:  {from: in(Suspended), to: in(Created, Running), above: notEndedAbove},
	Revoke:  {from: in(Created, Running, Suspended, Failed), to: in(Revoked)},
}

// set is a set of states.
type set uint8

func in(states ...State) (s set) {
	for _, st := range states {
		s |= 1 << st
	}
	return s
}

func (s set) has(st State) bool { return s&(1<<st) != 0 }

// guard is what an operation asks of the own states of a node's ancestors.
type guard uint8

const (
	anyAbove               guard = iota // nothing: work in flight may always report
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
