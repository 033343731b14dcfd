package engine

import (
	"hash/maphash"
	"sync"
)

// index finds tasks by one of their names. It has parts with separate locks, so
// that readers hardly ever wait for a writer of the index: in a busy engine, a
// reader that has waited runs after all the writers that were answered while it
// waited. Only one goroutine at a time may change the index.
type index[K comparable] struct {
	parts [indexParts]indexPart[K]
}

type indexPart[K comparable] struct {
	mu    sync.RWMutex
	tasks map[K]*task // nil if empty
}

const indexParts = 64

// seed differs between processes, so that no caller can choose names that are
// all in one part.
var seed = maphash.MakeSeed()

func (x *index[K]) part(name K) *indexPart[K] {
	return &x.parts[maphash.Comparable(seed, name)%indexParts]
}

func (x *index[K]) get(name K) *task {
	p := x.part(name)
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.tasks[name]
}

func (x *index[K]) put(name K, t *task) {
	p := x.part(name)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tasks == nil {
		p.tasks = make(map[K]*task)
	}
	p.tasks[name] = t
}

func (x *index[K]) remove(name K) {
	p := x.part(name)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tasks, name)
}

// clear empties the index.
func (x *index[K]) clear() {
	for i := range x.parts {
		p := &x.parts[i]
		p.mu.Lock()
		p.tasks = nil
		p.mu.Unlock()
	}
}
