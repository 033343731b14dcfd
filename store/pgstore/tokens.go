package pgstore

import "sync"

// tokens number a handle's commits. Each puts its number into the table
// commits; the next one takes those away whose answers have come.
type tokens struct {
	mu   sync.Mutex // protects everything below
	last int64
	done []int64 // answered, and not yet taken away as far as is known
}

// take returns the number of the next commit.
func (t *tokens) take() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	return t.last
}

// acknowledge says that a commit's answer has come.
func (t *tokens) acknowledge(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = append(t.done, n)
}

// known returns commits to be taken away. One whose own commit then fails
// leaves a row behind, which goes with the handle.
func (t *tokens) known() []int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	done := t.done
	t.done = nil
	return done
}
