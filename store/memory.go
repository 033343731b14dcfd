package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/pipestatus/pipestatus/state"
)

// Memory is a [Store] that keeps everything in memory, for unit tests of runners and
// for tools that need no file. Nothing survives Close. The feed is never trimmed.
// Memory never returns [ErrTrimmed], [ErrFull] or [ErrFailed]. Readers do not wait
// for each other.
//
// The zero Memory is empty and ready to use. It must not be copied.
type Memory struct {
	// mu protects all fields. Trees and transitions, once in here, never
	// change; headers and slices do.
	mu     sync.RWMutex
	tasks  map[state.Key]*memoryTask
	nodes  map[string]*memoryTask // by the ID of any node
	order  []*memoryTask          // by Number
	feed   []*state.Transition    // feed[i] has the sequence i+1
	past   Histories              // one, from the first commit on
	closed bool
}

// memoryTask is a task as Memory keeps it.
type memoryTask struct {
	Task
	tree        *state.Tree
	transitions []*state.Transition
	attempts    map[string][]state.Attempt // superseded ones, by node ID
	data        map[dataKey]*state.Data
}

// dataKey identifies input or output data: the node, and the attempt by number.
type dataKey struct {
	index, attempt int
	output         bool
}

var (
	_ Store   = (*Memory)(nil)
	_ Checker = (*Memory)(nil)
)

// scanMax bounds how many tasks one List examines, so that a search for rare tasks
// does not delay commits.
const scanMax = 10_000

// NewMemory returns an empty store.
func NewMemory() *Memory { return new(Memory) }

// Close implements [Store]. The content is lost.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tasks, m.nodes, m.order, m.feed = nil, nil, nil, nil
	m.closed = true
	return nil
}

// Load implements [Reader].
func (m *Memory) Load(ctx context.Context, ref Ref) (Snapshot, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	t, err := m.findLocked(ctx, ref)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Tree: t.tree, Position: m.past.At(uint64(len(m.feed)))}
	s.Index, err = ref.In(t.tree)
	return s, err
}

// Locate implements [Reader].
func (m *Memory) Locate(ctx context.Context, ref Ref) (Location, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	t, err := m.findLocked(ctx, ref)
	if err != nil {
		return Location{}, err
	}
	if _, err := ref.In(t.tree); err != nil {
		return Location{}, err
	}
	return Location{Key: t.Key, Revision: t.Revision}, nil
}

// List implements [Reader].
func (m *Memory) List(ctx context.Context, q ListQuery) (ListPage, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.usableLocked(ctx); err != nil {
		return ListPage{}, err
	}
	number, err := q.Start()
	if err != nil {
		return ListPage{}, err
	}
	step, i := -1, m.rank(number)-1 // the next one in order to look at
	if q.OldestFirst {
		step, i = 1, m.rank(number+1)
	}
	var page ListPage
	limit := pageLimit(q.Limit)
	for n := 0; i >= 0 && i < len(m.order); n++ {
		if n == scanMax || len(page.Tasks) == limit {
			page.Cursor = q.CursorAt(m.order[i-step].Number)
			break
		}
		if t := &m.order[i].Task; q.Matches(t) {
			page.Tasks = append(page.Tasks, *t)
		}
		i += step
	}
	return page, nil
}

// rank is how many tasks have a smaller number.
func (m *Memory) rank(number uint64) int {
	i, _ := slices.BinarySearchFunc(m.order, number, func(t *memoryTask, number uint64) int {
		return cmp.Compare(t.Number, number)
	})
	return i
}

// Transitions implements [Reader].
func (m *Memory) Transitions(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	t, err := m.findLocked(ctx, Ref{Key: key})
	if err != nil {
		return nil, err
	}
	from, found := slices.BinarySearchFunc(t.transitions, after, func(tr *state.Transition, after uint64) int {
		return cmp.Compare(tr.Sequence, after)
	})
	if found {
		from++
	}
	return page(t.transitions[from:], limit), nil
}

// Attempts implements [Reader].
func (m *Memory) Attempts(ctx context.Context, ref Ref, q AttemptQuery) ([]Attempt, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	t, err := m.findLocked(ctx, ref)
	if err != nil {
		return nil, err
	}
	index, err := ref.In(t.tree)
	if err != nil {
		return nil, err
	}
	n := t.tree.Node(index)
	all := append(slices.Clone(t.attempts[n.ID]), n.Attempt)
	skip, _ := q.Bounds()
	var page []Attempt
	for i := min(skip, len(all)); i < len(all) && !q.Full(page); i++ {
		a := Attempt{Attempt: all[i], Current: i == len(all)-1}
		a.Input, a.Output = t.data[dataKey{index, i + 1, false}], t.data[dataKey{index, i + 1, true}]
		if q.Data {
			a.Input, a.Output = copyData(a.Input), copyData(a.Output)
		} else {
			a.Input, a.Output = a.Input.Named(), a.Output.Named()
		}
		page = append(page, a)
	}
	return page, nil
}

// copyData returns a copy of data.
func copyData(d *state.Data) *state.Data {
	if d == nil {
		return nil
	}
	return state.NewData(append([]byte{}, d.Bytes()...))
}

// Feed implements [Reader].
func (m *Memory) Feed(ctx context.Context, after Position, limit int) (FeedPage, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.usableLocked(ctx); err != nil {
		return FeedPage{}, err
	}
	last := uint64(len(m.feed))
	if err := m.past.Check(after, 1, last); err != nil {
		return FeedPage{}, err
	}
	rest := m.feed[min(after.Sequence, last):]
	return FeedPage{Transitions: page(rest, limit), First: 1, Last: m.past.At(last)}, nil
}

// Check implements [Checker].
func (m *Memory) Check(ctx context.Context, report func(problem string)) error {
	return Check(ctx, m, report)
}

// findLocked returns a task. The caller holds mu.
func (m *Memory) findLocked(ctx context.Context, ref Ref) (*memoryTask, error) {
	if err := m.usableLocked(ctx); err != nil {
		return nil, err
	}
	t := m.tasks[ref.Key]
	if ref.Node != "" {
		t = m.nodes[ref.Node]
	}
	if t == nil {
		return nil, fmt.Errorf("%w: %s", state.ErrNotFound, ref)
	}
	return t, nil
}

// usableLocked returns the reason why a call must fail. The caller holds mu.
func (m *Memory) usableLocked(ctx context.Context) error {
	if m.closed {
		return ErrClosed
	}
	return ctx.Err()
}

func pageLimit(limit int) int {
	if limit <= 0 {
		return DefaultLimit
	}
	return limit
}

// page is a copy of the beginning of rest, at most limit long.
func page[T any](rest []T, limit int) []T {
	return slices.Clone(rest[:min(len(rest), pageLimit(limit))])
}
