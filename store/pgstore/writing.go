package pgstore

import (
	"strconv"
	"strings"
)

// # The statements that write
//
// One statement writes a plan of any size: it has a part for each changed table,
// with the rows as arrays, or as plain values for a single row, which cost the
// server half as much. The parts read from each other, and therefore run in this
// order:
//
//   - held locks the rows of the tasks that must be as the handle left them;
//   - ready is one row if these are all of them, and the feed is where it was at
//     the last commit, and else none, and then no other part does anything;
//   - names are written first, since an insert that waits for another transaction
//     must not delay the feed, and then everything that needs no sequence;
//   - turn waits until no other commit gives out sequences;
//   - base gives sequences out, and the rows with sequences follow.
//
// Where others commit too, it is two statements: all up to turn, and the rest. The
// rest then begins when the turn has come, and sees the last version of the row in
// feed. A statement that began before has to evaluate itself a second time for
// that, with the turn taken.
//
// A large commit is one statement all the same. It may reach the server in pieces,
// and a process that is frozen after the first of two statements would keep the turn.
// The server begins no statement before it has all of it.

// column is one of the columns of some rows.
type column struct {
	name, kind string
	many, one  any
	rows       int
}

func values[T any](name, kind string, v []T) column {
	c := column{name: name, kind: kind, many: v, rows: len(v)}
	if len(v) == 1 {
		c.one = v[0]
	}
	return c
}

// writing is a statement in the making.
type writing struct {
	text  strings.Builder
	args  []any
	wrote []string // parts to be complete before sequences are given out
}

// statement is a statement with its arguments.
type statement struct {
	sql  string
	args []any
}

// end ends a statement with what it returns.
func (w *writing) end(in func(string) string, sql string) statement {
	w.text.WriteString("\n" + sql)
	return statement{in(w.text.String()), w.args}
}

// arg adds an argument.
func (w *writing) arg(v any) string {
	w.args = append(w.args, v)
	return "$" + strconv.Itoa(len(w.args))
}

// rows adds rows, as a relation called u.
func (w *writing) rows(columns ...column) string {
	var b strings.Builder
	if columns[0].rows == 1 {
		b.WriteString("(SELECT ")
		for i, c := range columns {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(w.arg(c.one) + "::" + c.kind + " AS " + c.name)
		}
		b.WriteString(") AS u")
		return b.String()
	}
	// A subquery around an array keeps the planner from looking at it, which
	// would have it plan anew each time. A limit that it does not know it takes
	// for a small one, so that it uses indexes, also in tables of which it does
	// not know yet how they will grow.
	var names []string
	b.WriteString("(SELECT * FROM unnest(")
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(SELECT " + w.arg(c.many) + "::" + c.kind + "[])")
		names = append(names, c.name)
	}
	b.WriteString(") AS v (" + strings.Join(names, ", ") + ") LIMIT " + w.arg(columns[0].rows) + ") AS u")
	return b.String()
}

// part adds a part that needs no sequence.
func (w *writing) part(name, sql string) {
	w.later(name, sql+" RETURNING 1")
	w.wrote = append(w.wrote, name)
}

// later adds a part.
func (w *writing) later(name, sql string) {
	if w.text.Len() == 0 {
		w.text.WriteString("WITH ")
	} else {
		w.text.WriteString(", ")
	}
	w.text.WriteString(name + " AS " + "(" + sql + ")")
}

// largeCommit is about what the system takes from a process at once.
const largeCommit = 64 << 10

// size is about the size of what a plan writes.
func (p *plan) size() (n int) {
	for _, column := range [][][]byte{
		p.added.declaration, p.added.progress, p.changed.progress, p.attempts.data,
		p.data.bytes, p.transitions.data, p.made.header, p.moved.header,
	} {
		for _, v := range column {
			n += len(v)
		}
	}
	return n
}

// writes returns the statements that write an attempt's plan and its token. The
// last one returns a row. Those that check fail, or are one that does nothing and
// returns no row, if the tasks are not as the plan has them, or if the feed is
// not where it was at the last commit.
func (s *statements) writes(a *attempt, holder int64, checks bool) []statement {
	p, first, last := a.plan, new(writing), new(writing)
	whole := a.alone || p.size() > largeCommit
	if whole {
		last = first
	}
	first.expect(p, checks)
	first.names(p)
	first.contents(p)
	first.turn()
	last.sequences(p, whole, checks)
	last.sequenced(p)
	last.later("token", writeToken(last.arg(holder), last.arg(a.token.slot), last.arg(a.token.number)))
	ending := early
	if a.alone {
		ending = noTimeout
	}
	result := last.end(s.in, "SELECT base, history, "+ending+" FROM c")
	if whole {
		return []statement{result}
	}
	return []statement{first.end(s.in, "SELECT 1 / count(*) FROM turn"), result}
}

// expect locks the tasks, if they are to be checked.
func (w *writing) expect(p *plan, checks bool) {
	if !checks {
		w.later("ready", `SELECT`)
		return
	}
	held := ""
	if n := len(p.moved.id); n > 0 {
		w.later("held", `
SELECT 1 FROM `+w.rows(values("id", "bigint", p.moved.id), values("base", "bigint", p.moved.base), values("holder", "bigint", p.moved.holder))+`
JOIN pipestatus.tasks t ON t.id = u.id
WHERE t.revision = u.base AND t.holder = u.holder AND NOT t.gone
ORDER BY t.id FOR NO KEY UPDATE OF t SKIP LOCKED`)
		held = ` AND (SELECT count(*) FROM held) = ` + w.arg(n)
	}
	w.later("ready", `SELECT FROM pipestatus.feed f WHERE `+unmoved+held)
}

// names inserts the names in their order, so that of two commits that want the
// same ones neither waits for the other in turn.
func (w *writing) names(p *plan) {
	if len(p.createdIDs) > 0 {
		w.part("keys", `
INSERT INTO pipestatus.task_keys (business, task, id)
SELECT u.* FROM ready, `+w.rows(values("business", "text", p.created.business), values("task", "text", p.created.task), values("id", "bigint", p.createdIDs))+`
ORDER BY u.business COLLATE "C", u.task COLLATE "C"`)
	}
	if a := &p.added; len(a.id) > 0 {
		w.part("ids", `
INSERT INTO pipestatus.node_ids (id, task, idx)
SELECT u.* FROM ready, `+w.rows(values("id", "bytea", a.id), values("task", "bigint", a.task), values("idx", "integer", a.index))+`
`+w.after()+` ORDER BY u.id`)
	}
}

// contents writes the rows without sequences.
func (w *writing) contents(p *plan) {
	if a := &p.added; len(a.id) > 0 {
		w.part("added", `
INSERT INTO pipestatus.nodes (id, task, idx, declaration, progress)
SELECT u.* FROM ready, `+w.rows(values("id", "bytea", a.id), values("task", "bigint", a.task), values("idx", "integer", a.index),
			values("declaration", "bytea", a.declaration), values("progress", "bytea", a.progress)))
	}
	if c := &p.changed; len(c.task) > 0 {
		w.part("changed", `
UPDATE pipestatus.nodes n SET progress = u.progress
FROM ready, `+w.rows(values("task", "bigint", c.task), values("idx", "integer", c.index), values("progress", "bytea", c.progress))+`
WHERE n.task = u.task AND n.idx = u.idx`)
	}
	if a := &p.attempts; len(a.task) > 0 {
		w.part("past", `
INSERT INTO pipestatus.attempts (task, idx, n, data)
SELECT u.* FROM ready, `+w.rows(values("task", "bigint", a.task), values("idx", "integer", a.index), values("n", "bigint", a.n), values("data", "bytea", a.data)))
	}
	if d := &p.data; len(d.task) > 0 {
		w.part("contents", `
INSERT INTO pipestatus.data (task, idx, n, what, digest, bytes)
SELECT u.* FROM ready, `+w.rows(values("task", "bigint", d.task), values("idx", "integer", d.index), values("n", "bigint", d.n),
			values("what", "smallint", d.what), values("digest", "bytea", d.digest), values("bytes", "bytea", d.bytes)))
	}
	if l := &p.oldLabels; len(l.key) > 0 {
		w.part("unlabeled", `
DELETE FROM pipestatus.labels l USING ready, `+w.rows(values("key", "bytea", l.key), values("value", "bytea", l.value), values("number", "bigint", l.number))+`
WHERE l.key = u.key AND l.value = u.value AND l.number = u.number`)
	}
}

// after is a condition that holds once the parts so far are complete.
func (w *writing) after() string {
	if len(w.wrote) == 0 {
		return ""
	}
	var b strings.Builder
	for i, part := range w.wrote {
		if i > 0 {
			b.WriteString(" + ")
		}
		b.WriteString("(SELECT count(*) FROM " + part + ")")
	}
	return "WHERE " + b.String() + " >= 0"
}

// turn waits for the turn, once the parts so far are complete. Waiting for that is
// cheaper than waiting for the row in feed.
func (w *writing) turn() {
	w.later("turn", `SELECT pg_advisory_xact_lock(`+turnLock+`, f.tableoid::integer) FROM ready, pipestatus.feed f `+w.after())
}

// sequences gives out the sequences, in the turn that the same statement waited for
// if it is the only one.
func (w *writing) sequences(p *plan, whole, checks bool) {
	inTurn := ` WHERE one`
	if whole {
		inTurn += ` AND (SELECT count(*) FROM turn) = 1`
	} else {
		w.later("ready", `SELECT`)
	}
	n := w.arg(len(p.transitions.task))
	if checks {
		w.later("c", `
UPDATE pipestatus.feed f SET last = last + `+n+inTurn+` RETURNING last - `+n+` AS base, history`)
		return
	}
	w.later("c", `
UPDATE pipestatus.feed f SET last = last + `+n+`,
	history = CASE WHEN `+unmoved+` THEN history ELSE gen_random_uuid() END,
	began = CASE WHEN `+unmoved+` THEN began ELSE last END,
	started = pg_postmaster_start_time(), path = pg_relation_filepath(f.tableoid)
`+inTurn+` RETURNING last - `+n+` AS base, history, began`)
	w.later("histories", `INSERT INTO pipestatus.histories (id, after) SELECT c.history, c.base FROM c WHERE c.began = c.base`)
}

// base is the sequence before the first of the commit. It is a value and not a
// row, since the planner cannot know that there is one row.
const base = `(SELECT base FROM c)`

// sequenced writes the rows with sequences.
func (w *writing) sequenced(p *plan) {
	t := &p.transitions
	w.later("transitions", `
INSERT INTO pipestatus.transitions (task, seq, data)
SELECT u.task, `+base+` + u.number, u.data
FROM ready, `+w.rows(values("task", "bigint", t.task), values("number", "bigint", t.number), values("data", "bytea", t.data)))
	if m := &p.made; len(m.id) > 0 {
		w.later("made", `
INSERT INTO pipestatus.tasks
	(id, business, task, number, revision, shown, unfinished, recorded_s, recorded_ns, holder, gone, header, name, failures)
SELECT u.id, u.business, u.task, `+base+` + u.first, `+base+` + u.last, u.shown, u.unfinished, u.recorded_s, u.recorded_ns, u.holder, false,
	u.header, u.name, u.failures
FROM ready, `+w.rows(values("id", "bigint", m.id), values("business", "text", m.business), values("task", "text", m.task),
			values("first", "bigint", m.first), values("last", "bigint", m.last), values("shown", "smallint", m.shown),
			values("unfinished", "boolean", m.unfinished), values("recorded_s", "bigint", m.recordedS), values("recorded_ns", "integer", m.recordedNS),
			values("holder", "bigint", m.holder), values("header", "bytea", m.header), values("name", "bytea", m.name),
			values("failures", "boolean", m.failures)))
	}
	if m := &p.moved; len(m.id) > 0 {
		w.later("moved", `
UPDATE pipestatus.tasks t SET revision = `+base+` + u.last, shown = u.shown, unfinished = u.unfinished,
	number = CASE WHEN u.gone THEN `+base+` + u.last ELSE t.number END,
	holder = u.holder, gone = u.gone, header = u.header, failures = u.failures
FROM ready, `+w.rows(values("id", "bigint", m.id), values("last", "bigint", m.last), values("shown", "smallint", m.shown),
			values("unfinished", "boolean", m.unfinished), values("holder", "bigint", m.holder), values("gone", "boolean", m.gone),
			values("header", "bytea", m.header), values("failures", "boolean", m.failures))+`
WHERE t.id = u.id`)
	}
	if l := &p.newLabels; len(l.key) > 0 {
		w.later("labeled", `
INSERT INTO pipestatus.labels (key, value, number, task)
SELECT u.key, u.value, CASE u.number WHEN 0 THEN `+base+` + u.first ELSE u.number END, u.task
FROM ready, `+w.rows(values("key", "bytea", l.key), values("value", "bytea", l.value), values("number", "bigint", l.number),
			values("first", "bigint", l.first), values("task", "bigint", l.task)))
	}
}
