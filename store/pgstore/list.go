package pgstore

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// List implements [store.Reader]. A cursor is the number of the last task of
// the page before, which need not exist any more. Pages are full.
func (s *Store) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	return s.list(ctx, &q, "")
}

// list returns a page of the tasks that a query and a further condition select.
func (s *Store) list(ctx context.Context, q *store.ListQuery, condition string) (page store.ListPage, err error) {
	err = s.observe(ctx, func(ctx context.Context) (uint64, error) {
		var sel selection
		sel.sql.WriteString(s.sql.tasks)
		sel.sql.WriteString(condition)
		if err := sel.where(q); err != nil {
			return 0, err
		}
		// One more tells whether there is another page.
		limit := min(pageLimit(q.Limit), math.MaxInt-1)
		sel.add(" ORDER BY t.number DESC LIMIT ?", limit+1)
		var last uint64 // that a task is not there can be the newest
		var b pgx.Batch
		b.Queue(sel.sql.String(), sel.args...).Query(func(rows pgx.Rows) (err error) {
			page, err = readHeaders(rows, limit)
			return err
		})
		b.Queue(s.sql.last).QueryRow(func(row pgx.Row) error { return row.Scan(&last) })
		err := s.pool.SendBatch(ctx, &b).Close()
		return last, err
	})
	return page, err
}

// selection is a query in the making.
type selection struct {
	sql  strings.Builder
	args []any
}

// add appends SQL in which question marks stand for the arguments.
func (s *selection) add(sql string, args ...any) {
	for _, arg := range args {
		before, after, _ := strings.Cut(sql, "?")
		s.args = append(s.args, arg)
		s.sql.WriteString(before)
		s.sql.WriteString("$" + strconv.Itoa(len(s.args)))
		sql = after
	}
	s.sql.WriteString(sql)
}

// where adds the conditions of a query. Those that select everything are left
// out, so that the planner sees which index serves.
func (s *selection) where(q *store.ListQuery) error {
	if q.Cursor != "" {
		number, err := strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil || number <= 0 || strconv.FormatInt(number, 10) != q.Cursor {
			return fmt.Errorf("%w: cursor %q is none that a list returned", state.ErrInvalidArgument, q.Cursor)
		}
		s.add(" AND t.number < ?", number)
	}
	if q.Business != "" {
		if state.CheckID("business ID", q.Business) != nil {
			s.add(" AND false") // it may not even be text to the database
		} else {
			s.add(" AND t.business = ?", q.Business)
		}
	}
	if len(q.Shown) > 0 {
		shown := make([]int16, len(q.Shown))
		for i, st := range q.Shown {
			shown[i] = int16(st)
		}
		s.add(" AND t.shown = ANY (?)", shown)
	}
	if q.Unfinished {
		s.add(" AND t.unfinished")
	}
	if q.Since.IsSet() {
		sec, nsec := q.Since.Unix()
		s.add(" AND (t.recorded_s, t.recorded_ns) >= (?, ?)", sec, nsec)
	}
	if q.Until.IsSet() {
		sec, nsec := q.Until.Unix()
		s.add(" AND (t.recorded_s, t.recorded_ns) < (?, ?)", sec, nsec)
	}
	return nil
}

// readHeaders reads a page of so many rows, of which there may be one more.
func readHeaders(rows pgx.Rows, limit int) (page store.ListPage, err error) {
	var key state.Key
	var number, revision, sec int64
	var nsec int32
	var shown int16
	var header pgtype.DriverBytes
	fields := []any{&key.Business, &key.Task, &number, &revision, &shown, &sec, &nsec, &header}
	var last uint64
	n := 0
	_, err = pgx.ForEachRow(rows, fields, func() error {
		t := store.Task{
			Key: key, Number: uint64(number), Revision: uint64(revision), Shown: state.State(shown),
			Recorded: state.UnixInstant(sec, int(nsec)),
		}
		if n++; n > limit {
			page.Cursor = strconv.FormatUint(last, 10)
			return nil
		}
		last = t.Number
		err := decodeHeader(header, &t)
		if err == nil && t.Validate() != nil {
			err = fmt.Errorf("%w: %w", store.ErrCorrupt, t.Validate())
		}
		if err != nil {
			page.Unreadable = append(page.Unreadable, store.Unreadable{Number: t.Number, Key: key, Err: err})
			return nil
		}
		page.Tasks = append(page.Tasks, t)
		return nil
	})
	return page, err
}
