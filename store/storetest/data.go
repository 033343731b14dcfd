package storetest

import (
	"bytes"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var dataCases = []testCase{
	{
		"data comes back with its attempt",
		"the inputs and outputs of every attempt, superseded or current, and of the task come back byte by byte, and transitions name them",
		dataReturns,
	},
	{
		"pages of attempts are bounded by their data",
		"a page with data ends once it has DataPage bytes, after at least one attempt; a page without data has no such bound",
		dataPages,
	},
	{
		"data goes with its task",
		"after a delete, a new task of the same key and IDs has only its own data",
		dataDeleted,
	},
	{
		"data without its bytes is refused",
		"a write with data whose bytes it does not have is ErrInvalidArgument",
		dataNamed,
	},
}

func input(op state.Op, b []byte) state.Op {
	op.Input = state.NewData(b)
	return op
}

func output(op state.Op, b []byte) state.Op {
	op.Output = state.NewData(b)
	return op
}

// sample is n bytes that differ from those of other seeds.
func sample(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func dataReturns(c *trial) {
	w, other := c.task("2", "10"), c.started("2", "11")
	w.do(input(create("10"), []byte(`{"pipeline":"nightly"}`)), on(state.Start, "10"), declare("n", "10", state.ServiceActivity))
	w.do(input(on(state.Start, "n"), []byte{}), output(on(state.Fail, "n"), []byte("\x00\xff not JSON")), on(state.Retry, "n"))
	other.do(declare("m", "11", state.Subprocess))
	other.do(input(on(state.Start, "m"), sample(1, 100)), output(on(state.Finish, "m"), sample(2, 200)))
	c.reopen()
	w.expect()
	for i, size := range []int{1, 255, 4096, 20_000, state.DefaultDataBytes} {
		op := on(state.Start, "n")
		if i > 0 {
			op.Kind = state.Loop
		}
		w.do(input(op, sample(i, size)), output(on(state.Finish, "n"), sample(-i, size-1)))
		if i == 2 {
			c.reopen()
		}
	}
	w.do(on(state.Loop, "n"), on(state.Fail, "n"), output(on(state.Skip, "n"), []byte("skipped")))
	w.do(output(on(state.Finish, "10"), []byte("null")), state.Op{Kind: state.Reopen})
	for range 2 {
		w.expect()
		other.expect()
		page, err := c.store.Attempts(c.Context(), w.ref(), store.AttemptQuery{Limit: 1, Data: true})
		c.want("attempts of the root", err, nil)
		if len(page) != 1 || string(page[0].Input.Bytes()) != `{"pipeline":"nightly"}` || string(page[0].Output.Bytes()) != "null" {
			c.broken("the first attempt of the root is %s", show(page))
		}
		named, err := c.store.Attempts(c.Context(), store.ByNode("n"), store.AttemptQuery{})
		c.want("attempts without data", err, nil)
		if d := diffAttempts(named, w.wantAttempts("n")); d != "" {
			c.broken("attempts without data: %s", d)
		}
		for _, a := range named {
			if a.Input.Bytes() != nil || a.Output.Bytes() != nil {
				c.broken("attempts that were asked for without data have it")
			}
		}
		c.reopen()
	}
	c.expectFeed()
}

func dataPages(c *trial) {
	const each, attempts = 50_000, 45
	w := c.started("2", "10")
	w.do(declare("n", "10", state.ServiceActivity))
	w.do(on(state.Start, "n"))
	for i := range attempts {
		w.do(output(on(state.Finish, "n"), sample(i, each)), on(state.Loop, "n"))
	}
	for range 2 {
		want := w.wantAttempts("n")
		if d := diffAttempts(c.attempts(store.ByNode("n"), 0), want); d != "" {
			c.broken("attempts in pages: %s", d)
		}
		for _, skip := range []int{0, 3, attempts - 1, attempts} {
			page, err := c.store.Attempts(c.Context(), store.ByNode("n"), store.AttemptQuery{Skip: skip, Data: true})
			c.want("attempts", err, nil)
			fits := min(store.DataPage/each+1, len(want)-skip)
			if len(page) != fits {
				c.broken("a page of %d attempts of %d bytes each after %d, want %d", len(page), each, skip, fits)
			}
			page, err = c.store.Attempts(c.Context(), store.ByNode("n"), store.AttemptQuery{Skip: skip})
			c.want("attempts", err, nil)
			if len(page) != len(want)-skip {
				c.broken("a page without data of %d attempts after %d, want %d", len(page), skip, len(want)-skip)
			}
		}
		c.reopen()
	}
}

func dataDeleted(c *trial) {
	w := c.task("2", "10")
	for round := range 3 {
		w.do(input(create("10"), fmt.Append(nil, "run ", round)), on(state.Start, "10"), declare("n", "10", state.ServiceActivity))
		w.do(input(on(state.Start, "n"), sample(round, 70)), on(state.Fail, "n"), on(state.Retry, "n"))
		if round > 0 {
			w.do(output(on(state.Skip, "n"), sample(round, 80)))
		}
		c.reopen()
		w.expect()
		if round < 2 {
			w.delete()
			c.expectAbsent(w.key(), "10", "n")
		}
	}
	c.expectFeed()
}

func dataNamed(c *trial) {
	w := c.started("2", "10")
	d := w.draft(output(on(state.Finish, "10"), []byte("x")))
	tr := *d.change.Transitions[0]
	tr.Data = tr.Data.Named()
	_, err := c.store.Commit(c.Context(), []store.Write{{Base: d.change.Base, Transitions: []*state.Transition{&tr}}})
	c.want("commit of data without bytes", err, state.ErrInvalidArgument)
	c.reopen()
	w.expect()
	// The caller may overwrite its bytes after the commit.
	b := bytes.Repeat([]byte("a"), 1000)
	w.do(output(on(state.Finish, "10"), b))
	w.data[dataAt{"10", 1, true}] = state.NewData(bytes.Repeat([]byte("a"), 1000))
	clear(b)
	w.expect()
	c.reopen()
	w.expect()
}
