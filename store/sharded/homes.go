package sharded

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Directory is the reserved business of the records that the first member keeps of
// where each business is. It, and every business whose name begins with it, cannot
// be used otherwise. Programs that open a member by itself see these tasks; they
// must not remove them.
const Directory = "pipestatus.sharded"

// selfBusiness has the record that a member keeps of itself.
const selfBusiness = Directory + ".member"

func reserved(business string) bool { return strings.HasPrefix(business, Directory) }

// Rendezvous returns a function that spreads businesses evenly over members, for
// [Options.Place]. With one more member only those businesses get another answer
// that go to it.
func Rendezvous(members ...string) func(business string) (member string) {
	return func(business string) (chosen string) {
		var best uint64
		for _, m := range members {
			sum := sha256.Sum256(fmt.Appendf(nil, "%d %s%s", len(m), m, business))
			if weight := binary.BigEndian.Uint64(sum[:]); chosen == "" || weight > best {
				chosen, best = m, weight
			}
		}
		return chosen
	}
}

// homes knows where businesses are.
type homes struct {
	members []*member
	place   func(business string) string

	mu    sync.RWMutex       // protects known
	known map[string]*member // as recorded, which never changes
}

// find returns the member that a business is on, nil if it is on none.
func (h *homes) find(ctx context.Context, business string) (*member, error) {
	h.mu.RLock()
	m := h.known[business]
	h.mu.RUnlock()
	if m != nil || reserved(business) || state.CheckID("business ID", business) != nil {
		return m, nil
	}
	m, lost := h.recorded(ctx, business)
	if m != nil || lost != nil && !errors.Is(lost, ErrLost) {
		return m, lost
	}
	// It has never had a task, or its tasks are older than the records.
	found, errs := ask(h.members, func(m *member) (bool, error) { return m.has(ctx, business) })
	for i := range found {
		switch {
		case found[i] && m != nil:
			return nil, fmt.Errorf("%w: %q has tasks on %s and %s", ErrSplit, business, m.Name, h.members[i].Name)
		case found[i]:
			m = h.members[i]
		}
	}
	if m != nil {
		return m, nil
	}
	return nil, errors.Join(append(errs, lost)...)
}

// recorded returns the member that the first one has a record of, nil if there is
// no such record.
func (h *homes) recorded(ctx context.Context, business string) (m *member, err error) {
	snap, err := h.members[0].load(ctx, store.ByKey(Directory, business))
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	name := snap.Tree.Node(0).Name
	for _, m := range h.members {
		if m.Name == name {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.known[business] = m
			return m, nil
		}
	}
	return nil, invalid("business %q is on member %q, which is not among the members", business, name)
}

// settle returns the member that a business is on, and records one for a new
// business.
func (h *homes) settle(ctx context.Context, business string) (*member, error) {
	m, err := h.find(ctx, business)
	if err != nil {
		return nil, err
	}
	h.mu.RLock()
	known := h.known[business]
	h.mu.RUnlock()
	if known != nil { // perhaps since then
		return known, nil
	}
	if m == nil {
		if m, err = h.chosen(business); err != nil {
			return nil, err
		}
	}
	for _, m := range []*member{h.members[0], m} {
		if err := m.mark(ctx); err != nil {
			return nil, err
		}
	}
	err = h.members[0].record(ctx, state.Key{Business: Directory, Task: business}, m.Name)
	if err != nil && !errors.Is(err, state.ErrExists) {
		return nil, err
	}
	// Another process may have been first, with another choice.
	if m, err = h.recorded(ctx, business); err == nil && m == nil {
		err = fmt.Errorf("%w: the record of business %q was removed", store.ErrCorrupt, business)
	}
	return m, err
}

// chosen is where a new business goes.
func (h *homes) chosen(business string) (*member, error) {
	name := h.place(business)
	for _, m := range h.members {
		if m.Name == name {
			return m, nil
		}
	}
	return nil, invalid("business %q is placed on %q, which is not among the members", business, name)
}

// has reports whether a member has a task of a business.
func (m *member) has(ctx context.Context, business string) (found bool, err error) {
	q := store.ListQuery{Business: business, Limit: 1}
	for more := true; more && !found && err == nil; more = q.Cursor != "" {
		err = m.use(ctx, func(st store.Store) error {
			page, err := st.List(ctx, q)
			found, q.Cursor = len(page.Tasks) > 0, page.Cursor
			return err
		})
	}
	return found, err
}

// self is what a member's own record says.
func (m *member) self() string { return strconv.Itoa(m.number) + " " + m.Name }

// selfKey is the key of a member's own record.
var selfKey = state.Key{Business: selfBusiness, Task: "self"}

// verify holds a store's own record, if it has one, against what it is to be.
func (m *member) verify(ctx context.Context, st store.Store) error {
	snap, err := st.Load(ctx, store.Ref{Key: selfKey})
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return &MemberError{m.Name, err}
	}
	if name := snap.Tree.Node(0).Name; name != m.self() {
		return &MemberError{m.Name, invalid("this is number %d, named %s, and what it opens was number and name %q", m.number, m.Name, name)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marked = true
	return nil
}

// mark has the member keep a record of itself.
func (m *member) mark(ctx context.Context) error {
	m.mu.Lock()
	marked := m.marked
	m.mu.Unlock()
	if marked {
		return nil
	}
	if err := m.record(ctx, selfKey, m.self()); err != nil && !errors.Is(err, state.ErrExists) {
		return err
	}
	return m.use(ctx, func(st store.Store) error { return m.verify(ctx, st) })
}

// record creates a finished task with a name, so that it is nobody's to run.
func (m *member) record(ctx context.Context, key state.Key, name string) error {
	digest := sha256.Sum256([]byte(key.Business + "\x00" + key.Task))
	root := hex.EncodeToString(digest[:16])
	now := state.InstantOf(time.Now())
	ops := []state.Op{
		{Kind: state.Create, Task: key, Node: root, Name: name, Now: now, Actor: "sharded"},
		{Kind: state.Start, Node: root, Now: now, Actor: "sharded"},
		{Kind: state.Finish, Node: root, Now: now, Actor: "sharded"},
	}
	_, outcomes, err := state.NewTree(key).Apply(state.Limits{}, ops...)
	if err != nil {
		return fmt.Errorf("sharded: record of %s: %w", key, err)
	}
	var write store.Write
	for _, o := range outcomes {
		write.Transitions = append(write.Transitions, o.Transition)
	}
	return m.use(ctx, func(st store.Store) error {
		results, err := st.Commit(ctx, []store.Write{write})
		if err != nil {
			return err
		}
		return results[0].Err
	})
}
