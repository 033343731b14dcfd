package sharded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var (
	// ErrSplit says that a business has tasks on two members, which were
	// separate stores before, so that it belongs to neither.
	ErrSplit = errors.New("business on two members")
	// ErrAmbiguous says that nodes on two members were given the same ID. Name
	// the task as well.
	ErrAmbiguous = errors.New("node ID on two members")
)

// MemberError is an error of one member. It matches the same errors as Err. Err
// matches [store.ErrUnavailable] if the member is lost.
type MemberError struct {
	Member string // its name
	Err    error
}

// Error names the member.
func (e *MemberError) Error() string { return fmt.Sprintf("member %s: %v", e.Member, e.Err) }

// Unwrap returns Err.
func (e *MemberError) Unwrap() error { return e.Err }

// Member is one of the stores of a sharded store.
type Member struct {
	// Name is recorded with the businesses on the member, and is in errors. It
	// must be an ID, see [state.CheckID], and must not change.
	Name string
	// Open opens the member. It is called again after a failure, or if the
	// member could not be opened before. The sharded store closes the result,
	// which must not be nil.
	Open func(ctx context.Context) (store.Store, error)
}

// Options configure [Open]. A nil *Options and zero fields stand for the
// defaults.
type Options struct {
	// Place returns the name of the member for a business without tasks. It may
	// be called from many goroutines. Default: [Rendezvous] of all members, so
	// that each has about as many businesses.
	Place func(business string) (member string)
	// Retry is how long to wait until a lost member is tried again. Default: one
	// second.
	Retry time.Duration
	// Logger gets a message when a member is lost, and when it is back.
	// Default: no log.
	Logger *slog.Logger
}

// sharded is a store made of members.
type sharded struct {
	members []*member
	homes   homes

	stop    context.CancelFunc // ends the background goroutines
	running sync.WaitGroup     // the background goroutines

	mu     sync.Mutex // protects closed
	closed bool
}

// Open opens all members at once and makes one store of them, which owns them. It is
// a [store.Checker], and a [store.Leaser] and [store.Notifier] if its members are,
// which all or none must be.
//
// Members that cannot be reached are lost at first, as if they had been lost
// after Open; at least one must be reachable. Open waits for all members to
// answer or fail. To bound the wait, set their own limits, such as pgstore's
// Options.Recover and the connect_timeout of a database's URL. Every
// [MemberError] of a lost member contains the reason why it could not be
// opened, for example a wrong URL.
//
// An error matches [state.ErrInvalidArgument] if the list of members is
// invalid, or contradicts the records of the members. For an error that package
// store defines, such as [store.ErrLocked], [store.ErrCorrupt] and
// [store.ErrIncompatible], the member is not lost: Open returns the
// [MemberError].
func Open(ctx context.Context, members []Member, o *Options) (store.Store, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Retry < 0 {
		return nil, invalid("a negative Retry")
	}
	opts.Retry = cmp.Or(opts.Retry, time.Second)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if len(members) == 0 || len(members) > store.MaxLogs {
		return nil, invalid("%d members, want 1 to %d", len(members), store.MaxLogs)
	}
	s := &sharded{}
	var names []string
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	for i, m := range members {
		if err := state.CheckID("name of a member", m.Name); err != nil {
			stop()
			return nil, fmt.Errorf("sharded: %w", err)
		}
		if m.Open == nil || slices.Contains(names, m.Name) {
			stop()
			return nil, invalid("member %q has no Open, or is there twice", m.Name)
		}
		names = append(names, m.Name)
		s.members = append(s.members, &member{
			Member: m, number: i, base: uint64(i) * store.LogSize, retry: opts.Retry, logger: opts.Logger,
			life: life, running: &s.running,
		})
	}
	if opts.Place == nil {
		opts.Place = Rendezvous(names...)
	}
	s.homes = homes{members: s.members, place: opts.Place, known: make(map[string]*member)}
	leases, err := s.open(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sharded: open: %w", err), s.Close())
	}
	if leases {
		return &shared{sharded: s}, nil
	}
	return s, nil
}

// open opens the members and reports whether they have leases.
func (s *sharded) open(ctx context.Context) (leases bool, err error) {
	_, errs := ask(s.members, func(m *member) (struct{}, error) { return struct{}{}, m.begin(ctx) })
	if err := errors.Join(errs...); err != nil {
		return false, err
	}
	there := slices.IndexFunc(s.members, func(m *member) bool { return m.lost == nil })
	if there < 0 {
		for i, m := range s.members {
			_, errs[i] = m.current()
		}
		return false, errors.Join(errs...)
	}
	_, leases = s.members[there].handle.(store.Leaser)
	for _, m := range s.members {
		m.leases = leases
		if m.lost != nil {
			continue
		}
		if err := m.fits(m.handle); err != nil {
			return false, &MemberError{m.Name, err}
		}
	}
	for _, m := range s.members {
		if m.lost != nil {
			s.running.Go(m.recover)
		}
	}
	return leases, nil
}

// Close implements [store.Store]. It closes all members.
func (s *sharded) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	for _, m := range s.members {
		m.settle()
	}
	s.running.Wait()
	_, errs := ask(s.members, func(m *member) (struct{}, error) { return struct{}{}, m.close() })
	return errors.Join(errs...)
}

// ready returns the reason why a call cannot run, nil if it can.
func (s *sharded) ready(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}

// Check implements [store.Checker]. It checks each member, and that no business is
// on two of them. If members are lost, it checks the others before it returns their
// error.
func (s *sharded) Check(ctx context.Context, report func(problem string)) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	where := make(map[string]*member)
	var unfinished []error // of lost members
	for _, m := range s.members {
		err := m.use(ctx, func(st store.Store) error {
			check := func(ctx context.Context, report func(string)) error { return store.Check(ctx, st, report) }
			if c, ok := st.(store.Checker); ok {
				check = c.Check
			}
			if err := check(ctx, func(problem string) { report("member " + m.Name + ": " + problem) }); err != nil {
				return err
			}
			for t, err := range store.Tasks(ctx, st, store.ListQuery{}) {
				if unreadable := (*store.UnreadableError)(nil); errors.As(err, &unreadable) {
					return nil // the check has reported it
				}
				if err != nil {
					return err
				}
				business := t.Key.Business
				if at := where[business]; at == nil {
					where[business] = m
				} else if at != m && !reserved(business) {
					report(fmt.Sprintf("business %q is on members %s and %s", business, at.Name, m.Name))
				}
			}
			return nil
		})
		switch {
		case errors.Is(err, store.ErrUnavailable):
			unfinished = append(unfinished, err)
		case err != nil:
			return err
		}
	}
	return errors.Join(unfinished...)
}

// ask calls f for all members at once and returns the results in their order.
func ask[T any](members []*member, f func(m *member) (T, error)) ([]T, []error) {
	answers, errs := make([]T, len(members)), make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members[1:] {
		wg.Go(func() { answers[i+1], errs[i+1] = f(m) })
	}
	answers[0], errs[0] = f(members[0])
	wg.Wait()
	return answers, errs
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("sharded: %w: "+format, append([]any{state.ErrInvalidArgument}, args...)...)
}
