package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

const (
	isInput  = 0
	isOutput = 1
)

// dataRows are rows of data as columns.
type dataRows struct {
	task          []int64
	index         []int32
	n             []int64
	what          []int16
	digest, bytes [][]byte
}

// add adds the data of a transition of a task, if it has any.
func (r *dataRows) add(task int64, tr *state.Transition) {
	if tr.Data == nil {
		return
	}
	c, what := &tr.Changes[0], int16(isInput)
	if tr.Output() != nil {
		what = isOutput
	}
	digest := tr.Data.Digest()
	r.task, r.index, r.n = append(r.task, task), append(r.index, int32(c.Index)), append(r.n, int64(c.Number()))
	r.what, r.digest, r.bytes = append(r.what, what), append(r.digest, digest[:]), append(r.bytes, tr.Data.Bytes())
}

// Attempts implements [store.Reader].
func (s *Store) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) (page []store.Attempt, err error) {
	var at place
	if ref.NodeKey != "" {
		if at, err = s.placeOf(ctx, ref); err != nil {
			return nil, err
		}
		if !at.found {
			snap, err := s.Load(ctx, ref)
			if err != nil {
				return nil, err
			}
			ref = store.ByNode(snap.Tree.ID(snap.Index))
		}
	}
	if !wellFormed(ref) {
		return nil, s.read(ctx, func(context.Context) error { return notFound(ref) })
	}
	err = s.observe(ctx, func(ctx context.Context) (newest uint64, err error) {
		r := attemptReader{q: q}
		if newest, err = r.attempts(ctx, s, ref, at); err != nil || len(r.page) == 0 {
			return newest, err
		}
		err = r.data(ctx, s)
		page = r.page
		return newest, err
	})
	return page, err
}

// attemptReader reads a page of attempts.
type attemptReader struct {
	q     store.AttemptQuery
	page  []store.Attempt
	task  int64
	index int32
}

// attempts reads the attempts without their data, and returns the task's
// revision. If a condition found the node, the attempts are of that node.
func (r *attemptReader) attempts(ctx context.Context, s *Store, ref store.Ref, at place) (uint64, error) {
	skip, limit := r.q.Bounds()
	sql, args := s.sql.attemptsByKey, []any{ref.Key.Business, ref.Key.Task}
	switch {
	case at.found:
		sql, args = s.sql.attemptsByPlace, []any{at.task, at.index}
	case ref.Node != "":
		sql, args = s.sql.attemptsByNode, []any{appendID(nil, ref.Node)}
	}
	rows, err := s.pool.Query(ctx, sql, append(args, skip, limit)...)
	if err != nil {
		return 0, err
	}
	var revision int64
	var n *int64 // nil in the row of a node without attempts
	var progress, data pgtype.DriverBytes
	var current state.Node
	found := false
	_, err = pgx.ForEachRow(rows, []any{&r.task, &r.index, &revision, &progress, &n, &data}, func() error {
		if !found {
			found = true
			d := record(progress)
			d.progress(&current.Progress, state.Instant{})
			if err := d.end("progress"); err != nil {
				return err
			}
		}
		if n == nil {
			return nil
		}
		a, err := decodeAttempt(data)
		r.page = append(r.page, store.Attempt{Attempt: a})
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case !found:
		return 0, notFound(ref)
	}
	if len(r.page) < limit && skip+len(r.page) == current.Number()-1 {
		r.page = append(r.page, store.Attempt{Attempt: current.Attempt, Current: true})
	}
	return uint64(revision), nil
}

// data adds the inputs and outputs. If the task has been deleted since, they
// are missing, and the result is as if it had been deleted before its attempts
// were read: there is no such node.
func (r *attemptReader) data(ctx context.Context, s *Store) error {
	first := r.page[0].Number()
	rows, err := s.pool.Query(ctx, s.sql.dataNames, r.task, r.index, first, first+len(r.page)-1)
	if err != nil {
		return err
	}
	sizes := make([]int, len(r.page))
	var n, size int
	var what int16
	var digest pgtype.DriverBytes
	_, err = pgx.ForEachRow(rows, []any{&n, &what, &size, &digest}, func() error {
		sizes[n-first] += size
		named, err := namedData(size, digest)
		r.put(n-first, what, named)
		return err
	})
	if err != nil || !r.q.Data {
		return err
	}
	fits := 1
	for total := sizes[0]; fits < len(r.page) && total < store.DataPage; fits++ {
		total += sizes[fits]
	}
	r.page = r.page[:fits]
	return r.bytes(ctx, s, first)
}

// bytes reads the bytes of data that has only size and digest.
func (r *attemptReader) bytes(ctx context.Context, s *Store, first int) error {
	rows, err := s.pool.Query(ctx, s.sql.dataBytes, r.task, r.index, first, first+len(r.page)-1)
	if err != nil {
		return err
	}
	var n int
	var what int16
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&n, &what, &raw}, func() error {
		data := state.NewData(append([]byte{}, raw...))
		if named := r.named(n-first, what); !data.Equal(named) {
			return fmt.Errorf("%w: data of attempt %d has changed", store.ErrCorrupt, n)
		}
		r.put(n-first, what, data)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range r.page {
		for _, d := range []*state.Data{r.page[i].Input, r.page[i].Output} {
			if d != nil && d.Bytes() == nil {
				return fmt.Errorf("%w: node %d of a task that was deleted", state.ErrNotFound, r.index)
			}
		}
	}
	return nil
}

func (r *attemptReader) put(i int, what int16, d *state.Data) {
	if what == isInput {
		r.page[i].Input = d
	} else {
		r.page[i].Output = d
	}
}

func (r *attemptReader) named(i int, what int16) *state.Data {
	if what == isInput {
		return r.page[i].Input
	}
	return r.page[i].Output
}

// namedData is data with the size and digest of a row.
func namedData(size int, digest []byte) (*state.Data, error) {
	if len(digest) != 16 {
		return nil, fmt.Errorf("%w: a digest of %d bytes", store.ErrCorrupt, len(digest))
	}
	d, err := state.NamedData(size, [16]byte(digest))
	if err != nil {
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return d, err
}
