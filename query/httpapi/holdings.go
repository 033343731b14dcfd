package httpapi

import (
	"sync"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// holdings account for the trees that streams keep. All streams of a task on an
// engine share one; on a store each has its own.
type holdings struct {
	budget *budget
	shared bool

	mu sync.Mutex // protects by
	by map[state.Key]*holding
}

type holding struct {
	claim   *claim
	streams int
}

func newHoldings(r store.Reader, most int64) *holdings {
	_, shared := r.(store.Watcher)
	return &holdings{budget: newBudget(most), shared: shared, by: make(map[state.Key]*holding)}
}

// take takes the bytes of a tree without waiting, and returns a function that
// releases them. The error is errTooMany.
func (h *holdings) take(client string, tree *state.Tree) (end func(), err error) {
	if !h.shared {
		c, err := h.claim(client, tree)
		return c.end, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := tree.Key()
	if h.by[key] == nil {
		c, err := h.claim(client, tree)
		if err != nil {
			return func() {}, err
		}
		h.by[key] = &holding{claim: c}
	}
	h.by[key].streams++
	return sync.OnceFunc(func() { h.leave(key) }), nil
}

func (h *holdings) claim(client string, tree *state.Tree) (*claim, error) {
	if c := h.budget.now(client, treeBytes(tree)); c != nil {
		return c, nil
	}
	return nil, errTooMany
}

func (h *holdings) leave(key state.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if held := h.by[key]; held.streams > 1 {
		held.streams--
	} else {
		held.claim.end()
		delete(h.by, key)
	}
}
