package pgstore

import "sync"

// tokens identify a handle's commits. A commit writes its token with its changes, so
// that its outcome can be determined if the answer is lost. A token is a slot, a row
// of the table commits that one commit at a time uses, and a number, which is unique
// among the commits of the handle.
type tokens struct {
	mu    sync.Mutex // protects everything below
	last  int64
	slots int32
	free  []int32
}

type token struct {
	slot   int32
	number int64
}

// take returns the token of the next commit.
func (t *tokens) take() token {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	if n := len(t.free); n > 0 {
		slot := t.free[n-1]
		t.free = t.free[:n-1]
		return token{slot, t.last}
	}
	t.slots++
	return token{t.slots, t.last}
}

// done releases the token of a commit with a known outcome.
func (t *tokens) done(k token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free = append(t.free, k.slot)
}
