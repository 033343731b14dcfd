package pgstore

import "strings"

// statements are the texts of all queries, for one schema.
//
// # Order of the feed
//
// A sequence that is assigned before a commit becomes visible only with that commit: a
// reader that has seen 12 could later find 11. Sequences are therefore assigned under
// the lock of the one row in feed, as late as possible in a transaction, and together
// with the commit. No other transaction can have a higher sequence
// before that commit is visible, an abort leaves no gap since the row goes back
// with it, and a transaction that is held open before has no sequence to hold
// up. The lock ends with the commit and not with its sync: see durable.go. Work
// on different tasks runs concurrently until there.
//
// # Histories
//
// A database that was restored, or a replica that took over, may lack what was
// committed, and has other transitions under the same sequences later. Nothing in
// the data shows this, but its server was restarted, or the table is in another file.
// finish begins a history whenever it finds that: positions that the data never had
// are then in no history, or after its end.
type statements struct {
	in                                                                      func(text string) string // puts the schema into another text
	lock, nodes, keys, ids, taskIDs                                         string
	forgetKeys, forgetIDs, forgetNodes, forgetAttempts, forgetData          string
	listen, notify, outcome, move                                           string
	loadByKey, loadByNode, flush                                            string
	locateKey, locateNode, transitions, dataNames, dataBytes                string
	keyed, attemptsByKey, attemptsByNode, attemptsByPlace                   string
	ends, feed, history, last, tasks, labeled, unheld                       string
	trimmable, trimTransitions, trimTasks, trimFeed, oldHolders, oldCommits string
	register, holderID, supersede, unregister, forgetCommits, takeOver      string
}

// noTimeout turns the statement timeout off for the rest of a transaction, its COMMIT.
// A timeout while a COMMIT waits for a synchronous standby does not undo it: the server
// would acknowledge a commit that the standby does not have.
const noTimeout = `set_config('statement_timeout', '0', true)`

// early lets a transaction end, and its locks go, before the disk has it. The
// transaction that follows in the same batch waits for the disk. See durable.go.
const early = `set_config('synchronous_commit', 'off', true)`

// logged writes to the server's log, so that the transaction's COMMIT waits for
// the disk, and for a synchronous standby, to have that and all before it.
const logged = `pg_logical_emit_message(true, 'pipestatus'::text, ''::text)`

// turnLock is the key of the advisory locks that give commits their turns, one
// for each store in a database.
const turnLock = `1885957219`

// earLock is the key of the advisory locks that those who listen share.
const earLock = `1885957220`

// unmoved is whether the feed is where it was at the last commit.
const unmoved = `f.started = pg_postmaster_start_time() AND f.path = pg_relation_filepath(f.tableoid)`

// inSchema returns a function that puts a schema, given as it has to be written in
// SQL, into a text: before names and in the literals that name something.
func inSchema(schema string) func(text string) string {
	replace := []string{"pipestatus.", schema + "."}
	for _, name := range []string{"feed", "task_ids", "holder_ids"} {
		replace = append(replace, "'pipestatus."+name+"'", literal(schema+"."+name))
	}
	return strings.NewReplacer(replace...).Replace
}

// literal is a text as a literal, whatever standard_conforming_strings is.
func literal(text string) string {
	return `E'` + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + `'`
}

// newStatements returns the statements for a schema, given as it has to be
// written in SQL.
func newStatements(schema string) *statements {
	in := inSchema(schema)
	return &statements{
		in: in,

		lock: in(`
SELECT q.i - 1, t.id, t.number, t.revision, t.holder, t.recorded_s, t.recorded_ns, t.shown, t.header
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q (business, task, i)
JOIN pipestatus.task_keys k ON k.business = q.business AND k.task = q.task
JOIN pipestatus.tasks t ON t.id = k.id
WHERE NOT t.gone
ORDER BY t.id
FOR UPDATE OF t`),
		nodes: in(`
SELECT q.i, n.idx, n.id, n.declaration, n.progress
FROM unnest($1::text[], $2::text[], $3::integer[], $4::integer[]) AS q (business, task, i, idx)
JOIN pipestatus.task_keys k ON k.business = q.business AND k.task = q.task
JOIN pipestatus.nodes n ON n.task = k.id AND n.idx = q.idx`),
		keys: in(`
SELECT q.i - 1
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q (business, task, i)
JOIN pipestatus.task_keys k ON k.business = q.business AND k.task = q.task`),
		ids:     in(`SELECT id, task FROM pipestatus.node_ids WHERE id = ANY ($1::bytea[])`),
		taskIDs: in(`SELECT nextval('pipestatus.task_ids') FROM generate_series(1, $1)`),

		forgetKeys: in(`DELETE FROM pipestatus.task_keys WHERE (business, task) IN (SELECT * FROM unnest($1::text[], $2::text[]))`),
		forgetIDs: in(`
DELETE FROM pipestatus.node_ids WHERE id IN (SELECT id FROM pipestatus.nodes WHERE task = ANY ($1::bigint[]))`),
		forgetNodes:    in(`DELETE FROM pipestatus.nodes WHERE task = ANY ($1::bigint[])`),
		forgetAttempts: in(`DELETE FROM pipestatus.attempts WHERE task = ANY ($1::bigint[])`),

		forgetData: in(`DELETE FROM pipestatus.data WHERE task = ANY ($1::bigint[])`),
		listen:     in(`SELECT pg_advisory_lock_shared(` + earLock + `, tableoid::integer) FROM pipestatus.feed`),
		notify: in(`
SELECT CASE WHEN NOT pg_try_advisory_xact_lock(` + earLock + `, tableoid::integer) THEN pg_notify($1, '')::text IS NOT NULL ELSE false END, ` + early + `
FROM pipestatus.feed`),
		flush: in(`SELECT last, ` + logged + `, ` + noTimeout + ` FROM pipestatus.feed`),

		// Waits for a commit in progress. Without one, the
		// row keeps it from ever happening. It writes in either case: when
		// its own commit returns, the one it found is as durable.
		outcome: in(`
INSERT INTO pipestatus.commits AS o (holder, slot, n, base) VALUES ($1, $2, $3, -1)
ON CONFLICT (holder, slot) DO UPDATE
SET base = CASE o.n WHEN excluded.n THEN o.base ELSE -1 END, n = excluded.n, at = excluded.at
RETURNING base, ` + noTimeout),

		move: in(callMove),

		loadByKey:  in(loadTree(`SELECT id AS task FROM pipestatus.task_keys WHERE business = $1 AND task = $2`, ``)),
		loadByNode: in(loadTree(`SELECT task, idx FROM pipestatus.node_ids WHERE id = $1`, placeOfNode)),
		locateKey: in(`
SELECT t.business, t.task, t.revision FROM pipestatus.task_keys k JOIN pipestatus.tasks t ON t.id = k.id
WHERE k.business = $1 AND k.task = $2`),
		locateNode: in(`
SELECT t.business, t.task, t.revision FROM pipestatus.node_ids i JOIN pipestatus.tasks t ON t.id = i.task
WHERE i.id = $1`),
		transitions: in(`
SELECT t.revision, r.seq, r.data
FROM pipestatus.task_keys k JOIN pipestatus.tasks t ON t.id = k.id
LEFT JOIN LATERAL (
	SELECT seq, data FROM pipestatus.transitions WHERE task = k.id AND seq > $3 ORDER BY seq LIMIT $4
) r ON true
WHERE k.business = $1 AND k.task = $2
ORDER BY r.seq`),
		// The key is somewhere in the declaration, and perhaps in those of other nodes.
		keyed: in(`
SELECT t.business, t.task, t.revision, n.task, n.idx, n.declaration
FROM pipestatus.task_keys k JOIN pipestatus.tasks t ON t.id = k.id
JOIN pipestatus.nodes n ON n.task = k.id AND position($3::bytea IN n.declaration) > 0
WHERE k.business = $1 AND k.task = $2`),
		attemptsByPlace: in(attempts(``, `n.task = $1 AND n.idx = $2`, "$3", "$4")),
		attemptsByKey:   in(attempts(`JOIN pipestatus.task_keys k ON k.id = n.task`, `k.business = $1 AND k.task = $2 AND n.idx = 0`, "$3", "$4")),
		attemptsByNode:  in(attempts(`JOIN pipestatus.node_ids i ON i.task = n.task AND i.idx = n.idx`, `i.id = $1`, "$2", "$3")),
		dataNames: in(`
SELECT n, what, length(bytes), digest FROM pipestatus.data WHERE task = $1 AND idx = $2 AND n BETWEEN $3 AND $4`),
		dataBytes: in(`
SELECT n, what, bytes FROM pipestatus.data WHERE task = $1 AND idx = $2 AND n BETWEEN $3 AND $4`),
		ends:    in(`SELECT first, last, history FROM pipestatus.feed`),
		history: in(`SELECT history FROM pipestatus.feed`),
		last:    in(`SELECT last FROM pipestatus.feed`),
		// The row with sequence 0 is the feed's own: its ends, its history, and the history that
		// was asked for with the next one, which is where that ends. The feed has no
		// gaps, so a page is a range.
		feed: in(`
SELECT 0::bigint AS seq, ''::text AS business, ''::text AS task, int8send(f.first) || int8send(f.last) || uuid_send(f.history) || coalesce((
	SELECT string_agg(uuid_send(h.id) || int8send(h.after), '' ORDER BY h.after)
	FROM (
		SELECT id, after FROM pipestatus.histories
		WHERE after >= (SELECT after FROM pipestatus.histories WHERE id = $1::uuid) ORDER BY after LIMIT 2
	) h), '') AS data
FROM pipestatus.feed f
UNION ALL (
	SELECT r.seq, t.business, t.task, r.data
	FROM pipestatus.transitions r JOIN pipestatus.tasks t ON t.id = r.task
	WHERE r.seq > $2 AND r.seq <= $3 ORDER BY r.seq
)`),
		tasks: in(`
SELECT t.business, t.task, t.number, t.revision, t.shown, t.recorded_s, t.recorded_ns, t.header
FROM pipestatus.tasks t`),
		labeled: in(` JOIN pipestatus.labels l ON l.task = t.id`),
		unheld: in(`
 AND t.unfinished AND NOT EXISTS (SELECT 1 FROM pipestatus.holders h WHERE h.id = t.holder AND h.expires > now())`),

		register: in(`
INSERT INTO pipestatus.holders (id, owner, expires) VALUES ($1, $2, now() + $3::interval)
ON CONFLICT (id) DO UPDATE SET expires = excluded.expires WHERE NOT holders.superseded`),
		holderID: in(`SELECT nextval('pipestatus.holder_ids')`),
		supersede: in(`
UPDATE pipestatus.holders SET superseded = true, expires = '-infinity' WHERE owner = $2 AND id <> $1 AND NOT superseded`),
		unregister:    in(`DELETE FROM pipestatus.holders WHERE id = $1`),
		forgetCommits: in(`DELETE FROM pipestatus.commits WHERE holder = $1`),
		// A row of holders is deleted long after it ran out: that it is
		// missing says the same.
		takeOver: in(`
UPDATE pipestatus.tasks t SET holder = $1
FROM pipestatus.task_keys k
WHERE k.business = $2 AND k.task = $3 AND t.id = k.id AND t.revision = $4 AND t.unfinished AND NOT t.gone
	AND (t.holder = $1
		OR NOT EXISTS (SELECT 1 FROM pipestatus.holders h WHERE h.id = t.holder AND h.expires > now()))
RETURNING t.id`),

		// A program that knows only an earlier version of the tables, and still
		// runs, leaves the number of what it deletes as it is.
		trimmable: in(`
SELECT t.id, t.revision FROM pipestatus.tasks t, pipestatus.feed f
WHERE t.gone AND t.number <= f.last - $1 AND t.revision <= f.last - $1
ORDER BY t.number LIMIT $2
FOR UPDATE OF t SKIP LOCKED`),
		trimTransitions: in(`
DELETE FROM pipestatus.transitions WHERE (task, seq) IN (
	SELECT task, seq FROM pipestatus.transitions WHERE task = ANY ($1::bigint[]) ORDER BY task, seq LIMIT $2
)`),
		trimTasks:  in(`DELETE FROM pipestatus.tasks WHERE id = ANY ($1::bigint[])`),
		trimFeed:   in(`UPDATE pipestatus.feed SET first = greatest(first, $1 + 1) WHERE one`),
		oldHolders: in(`DELETE FROM pipestatus.holders WHERE expires < now() - interval '1 day'`),
		oldCommits: in(`DELETE FROM pipestatus.commits WHERE at < now() - interval '1 day'`),
	}
}

// writeToken writes the token of a commit whose base is in c. A commit that was
// found not to have happened fails here if it arrives after all: its row has its
// number already.
func writeToken(holder, slot, number string) string {
	return `INSERT INTO pipestatus.commits AS o (holder, slot, n, base)
	SELECT ` + holder + `::bigint, ` + slot + `::integer, ` + number + `::bigint, c.base FROM c
	ON CONFLICT (holder, slot) DO UPDATE
	SET n = excluded.n / (o.n < excluded.n)::integer, base = excluded.base, at = excluded.at`
}

// loadTree reads a task that a query finds and its nodes, in any order, in one
// statement and so at one moment: a row for each node, or one row without. The row
// of the root has the rest in one value. place is what the caller does not know.
// Each function call, and sorting, would show in the time of a small tree.
func loadTree(find, place string) string {
	return `
SELECT coalesce(n.idx, -1), n.id, n.declaration, n.progress, CASE WHEN n.idx > 0 THEN NULL ELSE
	(SELECT int8send(f.last) || uuid_send(f.history) FROM pipestatus.feed f) || int8send(t.revision) || ` + place + `t.header END
FROM (` + find + `) found JOIN pipestatus.tasks t ON t.id = found.task LEFT JOIN pipestatus.nodes n ON n.task = t.id`
}

// placeOfNode is the index of a node and the key of its task.
const placeOfNode = `int4send(found.idx) || int4send(length(textsend(t.business))) || textsend(t.business)
	|| int4send(length(textsend(t.task))) || textsend(t.task) || `

// attempts reads a node, which is found by a join and a condition, and its
// superseded attempts: a row for each attempt, or one row without attempts.
func attempts(find, where, skip, limit string) string {
	return `
SELECT n.task, n.idx, t.revision, n.progress, a.n, a.data
FROM pipestatus.nodes n JOIN pipestatus.tasks t ON t.id = n.task ` + find + `
LEFT JOIN LATERAL (
	SELECT p.n, p.data FROM pipestatus.attempts p WHERE p.task = n.task AND p.idx = n.idx
	ORDER BY p.n OFFSET ` + skip + ` LIMIT ` + limit + `
) a ON true
WHERE ` + where + ` ORDER BY a.n`
}
