package store

import (
	"fmt"
	"math"
	"strconv"

	"github.com/pipestatus/pipestatus/state"
)

// A cursor has the order of its list, then the number of the last examined task,
// which may have been deleted.
const (
	newestFirst = "n"
	oldestFirst = "o"
)

func (q *ListQuery) order() string {
	if q.OldestFirst {
		return oldestFirst
	}
	return newestFirst
}

// CursorAt is the cursor of a page that ends with the task of a number, for
// stores.
func (q *ListQuery) CursorAt(number uint64) string {
	return q.order() + strconv.FormatUint(number, 10)
}

// validate returns an error that matches [state.ErrInvalidArgument] for values that
// no task can have.
func (q *ListQuery) validate() error {
	for _, s := range q.Shown {
		if !s.Valid() {
			return fmt.Errorf("%w: no task shows %s", state.ErrInvalidArgument, s)
		}
	}
	if q.Business == "" {
		return nil
	}
	return state.CheckID("business ID", q.Business)
}

// Start returns the number of the task that the query's cursor names, for stores:
// the page continues with the next one in the order of the list. Without a cursor
// it is a number before all tasks. An error matches [state.ErrInvalidArgument]; an
// invalid query is an error too.
func (q *ListQuery) Start() (number uint64, err error) {
	switch err := q.validate(); {
	case err != nil:
		return 0, err
	case q.Cursor != "":
		number, err = strconv.ParseUint(q.Cursor[1:], 10, 63)
		if err != nil || q.CursorAt(number) != q.Cursor || number == 0 {
			return 0, fmt.Errorf("%w: no such list returned cursor %s", state.ErrInvalidArgument, quote(q.Cursor))
		}
		return number, nil
	case q.OldestFirst:
		return 0, nil
	}
	return math.MaxInt64, nil
}
