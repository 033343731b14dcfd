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

// List implements [store.Reader]. Pages are full, unless the query filters by
// the times of starts or ends, which are only in the headers. A page is then
// the result of scanning 10,000 of the tasks that meet the other conditions.
//
// A rare name or label has an index in the order of the list. Each task that it leads
// to is a row in another page of the table: a covering index would have to be written
// with each transition.
func (s *Store) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	return s.list(ctx, &q, "")
}

// list returns a page of the tasks that a query and a further condition select.
func (s *Store) list(ctx context.Context, q *store.ListQuery, condition string) (page store.ListPage, err error) {
	start, err := q.Start()
	if err != nil {
		return page, err
	}
	err = s.observe(ctx, func(ctx context.Context) (uint64, error) {
		var sel selection
		sel.sql.WriteString(s.sql.tasks)
		if q.Labels != (state.Labels{}) {
			sel.sql.WriteString(s.sql.labeled)
		}
		sel.sql.WriteString(" WHERE NOT t.gone" + condition)
		sel.where(s.sql, q, start)
		r := headerReader{q: q, limit: min(pageLimit(q.Limit), math.MaxInt-1)}
		r.most = r.limit
		if q.Started != (store.Span{}) || q.Finished != (store.Span{}) {
			r.most = scanMax
		}
		// One more task shows that there is another page.
		sel.add(" LIMIT ?", r.most+1)
		var last uint64 // counts even without tasks: their absence can be the newest fact
		var b pgx.Batch
		b.Queue(sel.sql.String(), sel.args...).Query(r.read)
		b.Queue(s.sql.last).QueryRow(func(row pgx.Row) error { return row.Scan(&last) })
		err := s.pool.SendBatch(ctx, &b).Close()
		page = r.page
		return last, err
	})
	return page, err
}

// scanMax is the number of tasks that are scanned for a page with conditions on
// headers.
const scanMax = 10_000

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

// where adds the conditions of a query, and the order. It leaves out conditions
// that select everything, so that the planner finds the right index.
func (s *selection) where(sql *statements, q *store.ListQuery, start uint64) {
	number := "t.number"
	for key, value := range q.Labels.All() {
		if number == "t.number" { // the first one's index has the order of the list
			number = "l.number"
			s.add(sql.in(" AND l.key = ? AND l.value = ?"), []byte(key), []byte(value))
			continue
		}
		s.add(sql.in(" AND EXISTS (SELECT 1 FROM pipestatus.labels o WHERE o.key = ? AND o.value = ? AND o.number = t.number)"), []byte(key), []byte(value))
	}
	if q.Unfinished {
		s.add(" AND t.unfinished")
	}
	if q.HasFailures {
		s.add(" AND t.failures")
	}
	if len(q.Shown) > 0 { // as constants, so that the planner knows how many tasks show them
		s.sql.WriteString(" AND t.shown IN (")
		for i, st := range q.Shown {
			s.sql.WriteString(strings.Repeat(", ", min(i, 1)) + strconv.Itoa(int(st)))
		}
		s.sql.WriteString(")")
	}
	var equal []equation
	if q.Name == state.Pipeline.Class() { // tasks without a name show it
		s.add(" AND t.name = ''")
	} else if q.Name != "" {
		equal = append(equal, equation{"t.name", []byte(q.Name)})
	}
	if q.Business != "" && state.CheckID("business ID", q.Business) != nil {
		s.add(" AND false") // it may not even be text to the database
	} else if q.Business != "" {
		equal = append(equal, equation{"t.business", q.Business})
	}
	if q.Recorded.Since.IsSet() {
		sec, nsec := q.Recorded.Since.Unix()
		s.add(" AND (t.recorded_s, t.recorded_ns) >= (?, ?)", sec, nsec)
	}
	if q.Recorded.Until.IsSet() {
		sec, nsec := q.Recorded.Until.Unix()
		s.add(" AND (t.recorded_s, t.recorded_ns) < (?, ?)", sec, nsec)
	}
	// A name is rarer than anything else, and the planner knows how rare states are.
	led := number == "t.number" && len(equal) > 0 && (equal[0].column == "t.name" || len(q.Shown) == 0 && !q.Unfinished && !q.HasFailures)
	for i, e := range equal {
		if i > 0 || !led {
			s.add(" AND "+e.column+" = ?", e.value)
		}
	}
	beyond, within, direction := "<", ">=", " DESC"
	if q.OldestFirst {
		beyond, within, direction = ">", "<=", ""
	}
	if !led {
		s.add(" AND "+number+" "+beyond+" ? ORDER BY "+number+direction, start)
		return
	}
	// As an equation, the condition would let the planner take the index of all
	// tasks for the order, and look through them for the value: it plans a prepared
	// statement for any value, as if all were equally frequent. As a range, the
	// condition leaves only the index that begins with the column for the order.
	e := equal[0]
	s.add(" AND ("+e.column+", t.number) "+beyond+" (?, ?) AND "+e.column+" "+within+" ?", e.value, start, e.value)
	s.add(" ORDER BY " + e.column + direction + ", t.number" + direction)
}

// equation is the condition that a column has a value.
type equation struct {
	column string
	value  any
}

// headerReader reads a page of tasks from the rows of a query, of which there may
// be one more than most.
type headerReader struct {
	q           *store.ListQuery
	limit, most int // of tasks, of rows
	page        store.ListPage
}

func (r *headerReader) read(rows pgx.Rows) error {
	var key state.Key
	var number, revision, sec int64
	var nsec int32
	var shown int16
	var header pgtype.DriverBytes
	fields := []any{&key.Business, &key.Task, &number, &revision, &shown, &sec, &nsec, &header}
	var last uint64
	n := 0
	r.page = store.ListPage{}
	_, err := pgx.ForEachRow(rows, fields, func() error {
		if n++; n > r.most || len(r.page.Tasks) == r.limit {
			if r.page.Cursor == "" {
				r.page.Cursor = r.q.CursorAt(last)
			}
			return nil
		}
		t := store.Task{
			Key: key, Number: uint64(number), Revision: uint64(revision), Shown: state.State(shown),
			Recorded: state.UnixInstant(sec, int(nsec)),
		}
		last = t.Number
		r.take(&t, header)
		return nil
	})
	return err
}

// take adds a task with known columns.
func (r *headerReader) take(t *store.Task, header []byte) {
	err := decodeHeader(header, t)
	if err == nil && t.Validate() != nil {
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, t.Validate())
	}
	switch {
	case err != nil:
		r.page.Unreadable = append(r.page.Unreadable, store.Unreadable{Number: t.Number, Key: t.Key, Err: err})
	case r.q.Matches(t):
		r.page.Tasks = append(r.page.Tasks, *t)
	}
}
