package state

// Room is where [Tree.ApplyValid] puts what it returns besides the tree:
// outcomes, and transitions with all that they consist of. The zero Room is empty
// and ready; it is not safe for concurrent use. Whoever commits many transitions
// uses one again and again: what is in it was a fifth of all garbage, and each
// piece lived for one commit.
type Room struct {
	outcomes []Outcome
	made     []*made
	used     int // of these
}

// made is a transition with room for what most consist of: one change, which
// may declare a node.
type made struct {
	Transition
	first    [1]Change
	declared Declaration
}

// Clear takes all that is in the room out of it. Nothing that an ApplyValid
// returned may be used any more, except for trees.
func (r *Room) Clear() {
	for _, m := range r.made[:r.used] {
		*m = made{}
	}
	r.used = 0
	if len(r.made) > roomKept {
		clear(r.made[roomKept:])
		r.made = r.made[:roomKept]
	}
	clear(r.outcomes[:cap(r.outcomes)])
	if cap(r.outcomes) > roomKept {
		r.outcomes = nil
	}
}

// roomKept bounds what is used again: a transition takes some 500 bytes here. Who
// records more at once pays for the rest.
const roomKept = 1024

// transition returns room for one.
func (r *Room) transition() *made {
	if r.used == len(r.made) {
		r.made = append(r.made, new(made))
	}
	r.used++
	return r.made[r.used-1]
}

// results returns room for the outcomes of an Apply, where those of the one before
// were.
func (r *Room) results(n int) []Outcome {
	if cap(r.outcomes) < n {
		r.outcomes = make([]Outcome, n)
	}
	r.outcomes = r.outcomes[:n]
	clear(r.outcomes)
	return r.outcomes
}
