package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var valueCases = []testCase{
	{
		"all operations come back",
		"after any operations on a task, everything that can be read of it is the result of these operations",
		allOperations,
	},
	{
		"random stories come back",
		"after changing, deleting and creating tasks again in any order, everything that can be read is the result",
		randomStories,
	},
	{
		"IDs come back unchanged",
		"any IDs of 1 to 128 bytes and actors of 1 to 255 bytes of UTF-8 are kept apart and come back byte by byte",
		oddIDs,
	},
	{
		"keys do not run together",
		"business and task ID are kept apart: tasks whose IDs join to the same text are different",
		joinedKeys,
	},
	{
		"times come back unchanged",
		"times in the years 1 to 9999 come back to the nanosecond, and an unset time differs from all of them",
		oddTimes,
	},
	{
		"texts come back unchanged",
		"names of 1,024 bytes and error texts of 16 KiB come back byte by byte, everywhere",
		longTexts,
	},
	{
		"numbers come back unchanged",
		"loop limits to 2^31-1 and the versions 00…0 and ff…f come back, and an unset version differs from all of them",
		oddNumbers,
	},
}

func allOperations(c *trial) {
	a, b := c.task("2", "10"), c.task("2", "11")
	tour(a)
	a.expect()
	c.reopen()
	a.expect()
	tour(b)
	a.do(on(state.Resume, "10"), on(state.Revoke, "10"))
	c.reopen()
	a.expect()
	b.expect()
	c.expectFeed()
}

func randomStories(c *trial) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 2))
		var tasks []*writer
		for i := range 6 {
			tasks = append(tasks, c.task(fmt.Sprint(i%2), fmt.Sprintf("%d.%d", seed, i)))
		}
		for i := range 90 {
			r.Shuffle(len(tasks), func(i, j int) { tasks[i], tasks[j] = tasks[j], tasks[i] })
			var drafts []*draft
			for _, w := range tasks[:1+r.IntN(4)] {
				if w.tree.Len() > 0 && r.IntN(40) == 0 {
					drafts = append(drafts, w.deletion())
				} else {
					drafts = append(drafts, w.wander(r))
				}
			}
			c.commit(drafts...)
			if i%45 == 44 {
				c.reopen()
				c.expectAll(tasks)
			}
		}
	}
	c.expectFeed()
}

// expectAll checks tasks that may have been deleted.
func (c *trial) expectAll(tasks []*writer) {
	c.Helper()
	for _, w := range tasks {
		if w.tree.Len() == 0 {
			c.expectAbsent(w.key())
			continue
		}
		w.expect()
	}
}

// ids are valid and different, and pairs of them are easy to confuse.
func ids() []string {
	hex := "0123456789abcdef0123456789abcdef"
	return []string{
		hex, strings.ToUpper(hex), hex[:31], hex + "0", " " + hex[1:], "0x" + hex[2:],
		// Sixteen bytes of text, and 32 hex digits that stand for the same bytes.
		"0123456789abcdef", "30313233343536373839616263646566",
		strings.Repeat("0", 32), strings.Repeat("f", 32), strings.Repeat("F", 32), "0", "00",
		"a", "A", " a", "a ", "a/b", "a\\b", `"a"`, "'a'", "a\"b", "%00", "%s", "<a>&", "null", "-", ".", "..",
		"é", "e\u0301", "工作流", "\u00a0", "\u200b", "\u202e", "\U0010ffff", "\ufeff", "\ufffd", "😀",
		strings.Repeat("x", 64), strings.Repeat("x", 127), strings.Repeat("x", 128),
		strings.Repeat("é", 64), strings.Repeat("名", 42), strings.Repeat("😀", 32),
	}
}

func oddIDs(c *trial) {
	all := ids()
	var tasks []*writer
	for i, id := range all {
		w := c.task(all[len(all)-1-i], id)
		long := strings.Repeat(id, 1+(state.MaxActorBytes-len(id))/len(id)) // up to 255 bytes
		w.do(
			with(create(id), func(op *state.Op) { op.Actor = id }),
			with(on(state.Start, id), func(op *state.Op) { op.Actor = long }),
		)
		tasks = append(tasks, w)
	}
	c.reopen()
	for _, w := range tasks {
		w.expect()
		ref := store.ByNode(w.root())
		if d := diffTrees(c.load(ref).Tree, w.tree); d != "" {
			c.broken("load %s: %s", ref, d)
		}
		c.expectList(store.ListQuery{Business: w.key().Business}, w)
	}
	for i, w := range tasks {
		w.delete()
		c.expectAbsent(w.key(), all[i])
	}

	w := c.started("2", "10")
	for _, id := range all {
		w.do(declare(id, "10", state.Subprocess), declare(fmt.Sprint("in ", w.tree.Len()), id, state.EndEvent))
	}
	c.reopen()
	w.expect()
	c.expectFeed()
}

func joinedKeys(c *trial) {
	keys := []state.Key{
		{Business: "a", Task: "b/c"},
		{Business: "a/b", Task: "c"},
		{Business: "ab", Task: "/c"},
		{Business: "a/", Task: "b/c"},
		{Business: "1", Task: "11"},
		{Business: "11", Task: "1"},
		{Business: "2", Task: "\"/\"3"},
		{Business: "2\"/\"", Task: "3"},
		{Business: "x", Task: "y"},
		{Business: "y", Task: "x"},
		{Business: "é", Task: "x"},
		{Business: "e", Task: "\u0301x"},
	}
	var tasks []*writer
	for i, key := range keys {
		w := c.task(key.Business, key.Task)
		w.do(create(fmt.Sprint("root", i)))
		tasks = append(tasks, w)
	}
	c.reopen()
	for _, w := range tasks {
		w.expect()
		c.expectList(store.ListQuery{Business: w.key().Business}, w)
	}
	tasks[0].delete()
	c.reopen()
	c.expectAbsent(keys[0], "root0")
	for _, w := range tasks[1:] {
		w.expect()
	}
}

func oddTimes(c *trial) {
	instants := []state.Instant{
		state.UnixInstant(0, 0), state.UnixInstant(0, 1), state.UnixInstant(-1, 999_999_999), state.UnixInstant(-62135596800, 0),
		state.UnixInstant(253402300799, 999_999_999), state.UnixInstant(1<<31, 0), state.UnixInstant(1<<33, 123_456_789),
	}
	var tasks []*writer
	for i, at := range instants {
		task := fmt.Sprint("t", i)
		w := c.task("2", task)
		recorded := func(op *state.Op) { op.Now = at }
		// Recorded at one time and effective at another, which is the later
		// for some operations and the earlier for others.
		effective := func(op *state.Op) { op.Now, op.At = at, instants[(i+1)%len(instants)] }
		w.do(
			with(create(task), recorded), with(on(state.Start, task), effective),
			with(declare("n"+task, task, state.ServiceActivity), recorded), with(on(state.Start, "n"+task), recorded),
			with(on(state.Fail, "n"+task), func(op *state.Op) { op.Now, op.RetryAt = at, at }),
			with(declare("m"+task, task, state.ServiceActivity), effective),
		)
		w.do(with(on(state.Retry, "n"+task), recorded), with(on(state.Start, "n"+task), effective))
		tasks = append(tasks, w)
	}
	c.reopen()
	for _, w := range tasks {
		w.expect()
	}
	c.expectFeed()
}

func longTexts(c *trial) {
	texts := []string{
		strings.Repeat("x", state.MaxErrorBytes), strings.Repeat("é", state.MaxErrorBytes/2), "\x00", "line\r\nline\n", "\ufffd",
		strings.Repeat("\x00", 1_000), `{"json": "\u0000"}`,
	}
	w := c.started("2", "10")
	for i, text := range texts {
		id := fmt.Sprint("n", i)
		w.do(
			with(declare(id, "10", state.ServiceActivity), func(op *state.Op) { op.Name = text[:min(len(text), state.MaxNameBytes)] }),
			on(state.Start, id), with(on(state.Fail, id), func(op *state.Op) { op.Error = text }),
		)
	}
	w.do(on(state.Retry, "n0"), on(state.Skip, "n1"))
	named := c.task("2", "11")
	named.do(with(create("11"), func(op *state.Op) { op.Name = strings.Repeat("名", state.MaxNameBytes/3) }))
	c.reopen()
	w.expect()
	named.expect()
	c.expectFeed()
}

func oddNumbers(c *trial) {
	w := c.started("2", "10")
	versions := []state.Version{state.VersionOf([16]byte{}), state.VersionOf([16]byte([]byte(strings.Repeat("\xff", 16))))}
	for i, v := range versions {
		id := fmt.Sprint("n", i)
		w.do(
			with(declare(id, "10", state.ServiceActivity), func(op *state.Op) { op.NewVersion, op.MaxLoops = v, 1<<31-1 }),
			on(state.Start, id), on(state.Fail, id),
		)
		w.do(
			with(on(state.Retry, id), func(op *state.Op) { op.NewVersion = versions[1-i] }),
			on(state.Start, id), on(state.Finish, id), on(state.Loop, id),
		)
	}
	c.reopen()
	w.expect()
	c.expectFeed()
}
