package pgstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// read runs a call that reads, again if the connection broke.
func (s *Store) read(ctx context.Context, f func(ctx context.Context) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.retry(ctx, f)
}

// observe runs a call that reads and returns the newest sequence in its answer.
// It makes that sequence durable before it returns. The absence of a row can
// also be the newest fact.
func (s *Store) observe(ctx context.Context, f func(ctx context.Context) (newest uint64, err error)) error {
	return s.read(ctx, func(ctx context.Context) error {
		newest, err := f(ctx)
		missing := errors.Is(err, state.ErrNotFound)
		if err != nil && !missing {
			return err
		}
		if missing {
			newest = unknownSequence
		}
		if unsettled := s.settle(ctx, newest); unsettled != nil {
			return unsettled
		}
		return err
	})
}

// snapshot sends statements that see the database at one moment, in one round
// trip.
func (s *Store) snapshot(ctx context.Context, queue func(b *pgx.Batch)) error {
	var b pgx.Batch
	b.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	queue(&b)
	b.Queue("COMMIT")
	return s.pool.SendBatch(ctx, &b).Close()
}

// wellFormed reports whether a reference can exist. An invalid ID may not even be a
// valid text for the database.
func wellFormed(ref store.Ref) bool {
	if ref.Node != "" {
		return state.CheckID("node ID", ref.Node) == nil
	}
	return ref.Key.Validate() == nil
}

func notFound(ref store.Ref) error { return fmt.Errorf("%w: %s", state.ErrNotFound, ref) }

// Load implements [store.Reader].
func (s *Store) Load(ctx context.Context, ref store.Ref) (snap store.Snapshot, err error) {
	if !wellFormed(ref) {
		return snap, s.read(ctx, func(context.Context) error { return notFound(ref) })
	}
	return s.loads.do(ctx, ref, func(ctx context.Context) (snap store.Snapshot, err error) {
		err = s.observe(ctx, func(ctx context.Context) (newest uint64, err error) {
			snap, err = s.load(ctx, ref)
			if err == nil {
				newest = snap.Tree.Revision()
			}
			return newest, err
		})
		return snap, err
	})
}

func (s *Store) load(ctx context.Context, ref store.Ref) (snap store.Snapshot, err error) {
	sql, args := s.sql.loadByKey, []any{ref.Key.Business, ref.Key.Task}
	if ref.Node != "" {
		sql, args = s.sql.loadByNode, []any{appendID(nil, ref.Node)}
	}
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return snap, err
	}
	snap, err = readSnapshot(rows, ref)
	switch {
	case err != nil:
		return snap, err
	case snap.Tree == nil:
		return snap, notFound(ref)
	}
	if ref.NodeKey != "" {
		snap.Index, err = ref.In(snap.Tree)
	}
	return snap, err
}

// readSnapshot reads a tree as loadTree gives it, nil without a row.
func readSnapshot(rows pgx.Rows, ref store.Ref) (snap store.Snapshot, err error) {
	task := store.Task{Key: ref.Key}
	var builder *state.Builder
	var index, added int
	var early []*state.Node                                // that came before their turn
	var id, declaration, progress, rest pgtype.DriverBytes // in the connection's buffer
	add := func(n *state.Node) error {
		if err := builder.Add(n); err != nil {
			return fmt.Errorf("%w: task %s: %w", store.ErrCorrupt, task.Key, err)
		}
		added++
		return nil
	}
	tag, err := pgx.ForEachRow(rows, []any{&index, &id, &declaration, &progress, &rest}, func() error {
		if rest != nil {
			if err := readRest(rest, ref, &task, &snap); err != nil {
				return err
			}
			builder = state.NewBuilder(task.Key, task.Nodes)
			builder.Label(task.Labels)
		}
		if index < 0 {
			return nil
		}
		n := state.Node{Index: index}
		if err := decodeNode(id, declaration, progress, &n); err != nil {
			return fmt.Errorf("task %s, node %d: %w", task.Key, n.Index, err)
		}
		if builder == nil || n.Index != added {
			kept := n // only such a node is on the heap
			early = append(early, &kept)
			return nil
		}
		return add(&n)
	})
	switch {
	case err != nil || tag.RowsAffected() == 0:
		return snap, err
	case builder == nil:
		return snap, fmt.Errorf("%w: %s has no root", store.ErrCorrupt, ref)
	}
	slices.SortFunc(early, func(a, b *state.Node) int { return cmp.Compare(a.Index, b.Index) })
	for _, n := range early {
		if err := add(n); err != nil {
			return snap, err
		}
	}
	if snap.Tree, err = builder.Tree(task.Revision); err != nil {
		err = fmt.Errorf("%w: task %s: %w", store.ErrCorrupt, task.Key, err)
	}
	return snap, err
}

// readRest reads what the row of the root has besides the node.
func readRest(b []byte, ref store.Ref, task *store.Task, snap *store.Snapshot) error {
	d := decoder{b: b}
	snap.Position.Sequence = d.uint64()
	copy(snap.Position.History[:], d.bytes(len(snap.Position.History)))
	task.Revision = d.uint64()
	if ref.Node != "" {
		snap.Index = d.length()
		task.Key.Business, task.Key.Task = string(d.bytes(d.length())), string(d.bytes(d.length()))
	}
	return decodeHeader(d.b, task)
}

// Locate implements [store.Reader].
func (s *Store) Locate(ctx context.Context, ref store.Ref) (at store.Location, err error) {
	if ref.NodeKey != "" {
		if p, err := s.placeOf(ctx, ref); err != nil || p.found {
			return p.Location, err
		}
		snap, err := s.Load(ctx, ref)
		if err != nil {
			return at, err
		}
		return store.Location{Key: snap.Tree.Key(), Revision: snap.Tree.Revision()}, nil
	}
	if !wellFormed(ref) {
		return at, s.read(ctx, func(context.Context) error { return notFound(ref) })
	}
	err = s.observe(ctx, func(ctx context.Context) (uint64, error) {
		sql, args := s.sql.locateKey, []any{ref.Key.Business, ref.Key.Task}
		if ref.Node != "" {
			sql, args = s.sql.locateNode, []any{appendID(nil, ref.Node)}
		}
		var revision int64
		err := s.pool.QueryRow(ctx, sql, args...).Scan(&at.Key.Business, &at.Key.Task, &revision)
		if errors.Is(err, pgx.ErrNoRows) {
			return 0, notFound(ref)
		}
		at.Revision = uint64(revision)
		return at.Revision, err
	})
	return at, err
}

// place is the place of a node in the tables. The internal name of a task is
// never used again.
type place struct {
	store.Location
	task  int64
	index int32
	found bool
}

// placeOf looks for the node with a key in the declarations of its task, on the
// server. That takes a fraction of the time of reading the tree. If it finds no
// node, the caller reads the tree for the error.
func (s *Store) placeOf(ctx context.Context, ref store.Ref) (p place, err error) {
	if !wellFormed(ref) {
		return p, nil
	}
	err = s.observe(ctx, func(ctx context.Context) (newest uint64, err error) {
		p = place{}
		rows, err := s.pool.Query(ctx, s.sql.keyed, ref.Key.Business, ref.Key.Task, []byte(ref.NodeKey))
		if err != nil {
			return 0, err
		}
		var at place
		var revision int64
		var declaration pgtype.DriverBytes
		_, err = pgx.ForEachRow(rows, []any{&at.Key.Business, &at.Key.Task, &revision, &at.task, &at.index, &declaration}, func() error {
			at.Revision = uint64(revision)
			if key, err := decodeNodeKey(declaration); err == nil && key == ref.NodeKey {
				p = at
				p.found = true
			}
			return nil
		})
		return p.Revision, err
	})
	return p, err
}

// Transitions implements [store.Reader].
func (s *Store) Transitions(ctx context.Context, key state.Key, after uint64, limit int) (trs []*state.Transition, err error) {
	ref := store.Ref{Key: key}
	if !wellFormed(ref) {
		return nil, s.read(ctx, func(context.Context) error { return notFound(ref) })
	}
	err = s.observe(ctx, func(ctx context.Context) (uint64, error) {
		trs = nil
		args := []any{key.Business, key.Task, clamp(after), pageLimit(limit)}
		return s.rowsOf(ctx, ref, s.sql.transitions, args, func(seq int64, data []byte) error {
			tr, err := decodeTransition(data, uint64(seq), key)
			trs = append(trs, tr)
			return err
		})
	})
	return trs, err
}

// rowsOf calls f for each row, of a number and data, that a query finds of a
// task, and returns the task's revision. Without such rows, one row has only the
// revision.
func (s *Store) rowsOf(ctx context.Context, ref store.Ref, sql string, args []any, f func(n int64, data []byte) error) (revision uint64, err error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	var n *int64
	var data pgtype.DriverBytes
	tag, err := pgx.ForEachRow(rows, []any{&revision, &n, &data}, func() error {
		if n == nil {
			return nil
		}
		return f(*n, data)
	})
	if err == nil && tag.RowsAffected() == 0 {
		return 0, notFound(ref)
	}
	return revision, err
}

// feedQuery has the arguments of a page of the feed.
type feedQuery struct {
	after store.Position
	limit int
}

// Feed implements [store.Reader].
func (s *Store) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	q := feedQuery{after, pageLimit(limit)}
	if page, ok, err := s.recent.feed(ctx, q, s.readFeed); ok || err != nil {
		return page, err
	}
	page, err := s.feeds.do(ctx, q, func(ctx context.Context) (store.FeedPage, error) { return s.readFeed(ctx, q) })
	if err != nil {
		return store.FeedPage{}, err
	}
	s.recent.add(&page)
	page.Transitions = slices.Clone(page.Transitions) // callers that share the page may modify it
	return page, nil
}

// readFeed reads a page of the feed from the database.
func (s *Store) readFeed(ctx context.Context, q feedQuery) (page store.FeedPage, err error) {
	err = s.observe(ctx, func(ctx context.Context) (newest uint64, err error) {
		page, err = s.feed(ctx, q)
		return page.Last.Sequence, err
	})
	return page, err
}

func (s *Store) feed(ctx context.Context, q feedQuery) (feed store.FeedPage, err error) {
	var past store.Histories
	from := clamp(q.after.Sequence)
	to := from + min(int64(q.limit), math.MaxInt64-from)
	rows, err := s.pool.Query(ctx, s.sql.feed, pgtype.UUID{Bytes: q.after.History, Valid: true}, from, to)
	if err != nil {
		return feed, err
	}
	var seq int64
	var key state.Key
	var data pgtype.DriverBytes
	_, err = pgx.ForEachRow(rows, []any{&seq, &key.Business, &key.Task, &data}, func() error {
		if seq == 0 {
			past, err = readEnds(data, &feed)
			return err
		}
		tr, err := decodeTransition(data, uint64(seq), key)
		feed.Transitions = append(feed.Transitions, tr)
		return err
	})
	if err != nil {
		return feed, err
	}
	// They come in order, but nothing says that a union keeps it.
	slices.SortFunc(feed.Transitions, func(a, b *state.Transition) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return feed, past.Check(q.after, feed.First, feed.Last.Sequence)
}

// readEnds reads the feed's own row: its first and last sequence, its history, and the
// beginnings of histories.
func readEnds(row []byte, feed *store.FeedPage) (past store.Histories, err error) {
	const ends, beginning = 8 + 8 + 16, 16 + 8
	if len(row) < ends || (len(row)-ends)%beginning != 0 {
		return nil, fmt.Errorf("%w: the ends of the feed have %d bytes", store.ErrCorrupt, len(row))
	}
	feed.First, feed.Last.Sequence = binary.BigEndian.Uint64(row), binary.BigEndian.Uint64(row[8:])
	copy(feed.Last.History[:], row[16:])
	for row = row[ends:]; len(row) > 0; row = row[beginning:] {
		b := store.Beginning{After: binary.BigEndian.Uint64(row[16:])}
		copy(b.History[:], row)
		past = append(past, b)
	}
	return past, nil
}

// clamp bounds a sequence to the range of the database's type, which contains
// all real ones.
func clamp(seq uint64) int64 { return int64(min(seq, math.MaxInt64)) }

func pageLimit(limit int) int {
	if limit <= 0 {
		return store.DefaultLimit
	}
	return limit
}
