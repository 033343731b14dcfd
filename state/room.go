package state

// Room is reusable memory for the results of [Tree.ApplyValid] except the tree:
// outcomes, and transitions with all their parts. The zero Room is empty and
// ready for use; it is not safe for concurrent use. A caller that commits many
// transitions reuses one: these results were a fifth of all garbage, and each
// lived for one commit only.
type Room struct {
	outcomes []Outcome
	made     []*made
	used     int // number of used ones
}

// made is a transition with memory for its usual parts: one change, which may
// declare a node.
type made struct {
	Transition
	first    [1]Change
	declared Declaration
}

// Clear makes the memory reusable. The results of earlier calls of ApplyValid
// must not be used any more, except for trees.
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

// roomKept bounds the transitions whose memory is reused: each takes some 500
// bytes. A larger commit allocates the rest anew.
const roomKept = 1024

// transition returns memory for one transition.
func (r *Room) transition() *made {
	if r.used == len(r.made) {
		r.made = append(r.made, new(made))
	}
	r.used++
	return r.made[r.used-1]
}

// results returns memory for the outcomes of an Apply, which overwrites the
// previous ones.
func (r *Room) results(n int) []Outcome {
	if cap(r.outcomes) < n {
		r.outcomes = make([]Outcome, n)
	}
	r.outcomes = r.outcomes[:n]
	clear(r.outcomes)
	return r.outcomes
}
