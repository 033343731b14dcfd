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

// Directory is the reserved business of the first member's records of where
// each business is. No task can be created in it, or in a business whose name
// begins with it, through the sharded store. Programs that open a member
// directly see these tasks; they must not remove them.
const Directory = "pipestatus.sharded"

// selfBusiness has the record that a member keeps of itself. emptyBusiness has
// the first member's records of the members that were empty before their own
// record: such a member has no business without a record.
const (
	selfBusiness  = Directory + ".member"
	emptyBusiness = Directory + ".empty"
)

func reserved(business string) bool { return strings.HasPrefix(business, Directory) }

// Rendezvous returns a function for [Options.Place] that distributes businesses
// evenly over members. An additional member only changes the result for the
// businesses that go to it.
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

// homes finds the members of businesses.
type homes struct {
	members []*member
	place   func(business string) string

	mu    sync.RWMutex       // protects known
	known map[string]*member // from records, which never change
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
	if m != nil || lost != nil && !errors.Is(lost, store.ErrUnavailable) {
		return m, lost
	}
	// The business has never had a task, or its tasks are older than the
	// records, or the records cannot be read.
	newest, errs := ask(h.members, func(m *member) (uint64, error) { return m.newest(ctx, business) })
	for i := range newest {
		switch {
		case newest[i] > 0 && m != nil:
			return nil, fmt.Errorf("%w: %q has tasks on %s and %s", ErrSplit, business, m.Name, h.members[i].Name)
		case newest[i] > 0:
			m = h.members[i]
		}
	}
	if m == nil {
		return nil, h.unknown(ctx, errs, lost)
	}
	if lost != nil && m.recordedFirst(newest[m.number]) {
		h.know(business, m)
	}
	return m, nil
}

// unknown returns the reason why it is unknown whether a business has tasks
// without a record: the records, or members that may have older tasks, cannot
// be read.
func (h *homes) unknown(ctx context.Context, errs []error, lost error) error {
	if lost != nil {
		return errors.Join(append(errs, lost)...)
	}
	for i, err := range errs {
		if errors.Is(err, store.ErrUnavailable) && h.beganEmpty(ctx, h.members[i]) {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}

func (h *homes) know(business string, m *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known[business] = m
}

// recorded returns the member in the first member's record of a business, nil
// if there is no such record.
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
			h.know(business, m)
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
	if known != nil { // recorded since
		return known, nil
	}
	if m == nil {
		if m, err = h.chosen(business); err != nil {
			return nil, err
		}
	}
	for _, m := range []*member{h.members[0], m} {
		if err := m.mark(ctx); err != nil {
			return nil, fmt.Errorf("record where business %q is: %w", business, err)
		}
	}
	if err := h.noteEmpty(ctx, m); err != nil {
		return nil, fmt.Errorf("record where business %q is: %w", business, err)
	}
	err = h.members[0].record(ctx, state.Key{Business: Directory, Task: business}, m.Name)
	if err != nil && !errors.Is(err, state.ErrExists) {
		return nil, err
	}
	// Another process may have recorded another member first.
	if m, err = h.recorded(ctx, business); err == nil && m == nil {
		err = fmt.Errorf("%w: the record of business %q was removed", store.ErrCorrupt, business)
	}
	return m, err
}

// chosen returns the member for a new business.
func (h *homes) chosen(business string) (*member, error) {
	name := h.place(business)
	for _, m := range h.members {
		if m.Name == name {
			return m, nil
		}
	}
	return nil, invalid("business %q is placed on %q, which is not among the members", business, name)
}

// newest is the number of a business's newest task on a member, 0 without
// tasks.
func (m *member) newest(ctx context.Context, business string) (number uint64, err error) {
	q := store.ListQuery{Business: business, Limit: 1}
	for more := true; more && number == 0 && err == nil; more = q.Cursor != "" {
		err = m.use(ctx, func(st store.Store) error {
			page, err := st.List(ctx, q)
			if q.Cursor = page.Cursor; len(page.Tasks) > 0 {
				number = page.Tasks[0].Number
			}
			return err
		})
	}
	return number, err
}

// recordedFirst reports whether the business of a task on the member was
// recorded there before the task was created. That is certain if the member's
// own record is older, because from then on a business is recorded before its
// next task.
func (m *member) recordedFirst(number uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.self > 0 && m.self < number
}

// place has the contents of a member's own record.
func (m *member) place() string { return strconv.Itoa(m.number) + " " + m.Name }

// selfKey is the key of a member's own record.
var selfKey = state.Key{Business: selfBusiness, Task: "self"}

// verify checks a store's own record, if it has one, against its name and
// number.
func (m *member) verify(ctx context.Context, st store.Store) error {
	snap, err := st.Load(ctx, store.Ref{Key: selfKey})
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if name := snap.Tree.Node(0).Name; name != m.place() {
		return invalid("this is member %d, named %s, but its store was recorded as member and name %q", m.number, m.Name, name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.self = snap.Tree.Revision()
	return nil
}

// mark makes the member record itself.
func (m *member) mark(ctx context.Context) error {
	m.mu.Lock()
	marked := m.self > 0
	m.mu.Unlock()
	if marked {
		return nil
	}
	if err := m.record(ctx, selfKey, m.place()); err != nil && !errors.Is(err, state.ErrExists) {
		return err
	}
	err := m.use(ctx, func(st store.Store) error { return m.verify(ctx, st) })
	if errors.Is(err, state.ErrInvalidArgument) {
		err = &MemberError{m.Name, err}
	}
	return err
}

// firstRecord is the revision of a member's own record if the member was empty
// before it.
const firstRecord = 3

// noteEmpty records on the first member that a marked member was empty before.
func (h *homes) noteEmpty(ctx context.Context, m *member) error {
	m.mu.Lock()
	due := m.self == firstRecord && !m.noted
	m.mu.Unlock()
	if !due {
		return nil
	}
	err := h.members[0].record(ctx, state.Key{Business: emptyBusiness, Task: m.Name}, m.place())
	if err != nil && !errors.Is(err, state.ErrExists) {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noted = true
	return nil
}

// beganEmpty reports whether a member was certainly empty before its records.
func (h *homes) beganEmpty(ctx context.Context, m *member) bool {
	m.mu.Lock()
	self := m.self
	m.mu.Unlock()
	if self > 0 {
		return self == firstRecord
	}
	_, err := h.members[0].load(ctx, store.ByKey(emptyBusiness, m.Name))
	return err == nil
}

// record creates a finished task with a name. A finished task needs no runner.
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
