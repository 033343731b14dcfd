// Package pgstore keeps tasks in PostgreSQL, for fleets of runners that share a
// store. Any number of handles in any number of processes work on one store: an
// engine uses its handle like a file, and the task's revision serializes changes of
// two processes to one task.
//
// # Writing
//
// A commit is one round trip, regardless of the number of its changes, if the
// handle made the last transitions of their tasks or creates the tasks. One
// statement, or two if others commit too and it is not large, locks the rows of the tasks, checks
// by revision and lease that the tasks are as the handle left them, and writes
// everything: names, nodes, attempts, labels, data, and finally the rows with
// sequences. If a task has changed, nothing is written, and the commit is made
// in two round trips. The first one locks the tasks, in the order of their
// internal names, and looks up the names in use. The handle then decides which
// changes apply, and leaves out the others with their error. The second round
// trip writes the changes that apply, in the same way. If another transaction
// took a name in between, the database refuses the insert, and both steps are
// repeated with that knowledge. writing.go describes the statements. A commit
// of one task, without labels or data, calls a procedure instead, which does
// the same for less: see move.go.
//
// Tasks wait for each other only while sequences are assigned, one commit at a
// time. This turn ends before the disk has the commit, so commits share syncs;
// readers never return data that is not on disk; see durable.go.
//
// If another handle has changed a task since it was read, the change is left out with
// [store.ErrConflict]. The engine then reads the task, applies its requests again and
// commits, at most 8 times, before it returns the conflict. In that case nothing is
// recorded, and the caller can repeat the request. This is rare: after a conflict, the
// loser keeps the row locked while it reloads the task (at most 50 ms), so its retry
// goes first. This needs a second connection in the pool.
//
// # Durability
//
// A commit is as durable as the database makes it: with synchronous_commit on, the
// default, its log is on disk, and on a synchronous standby if there is one. If the
// answer to a commit is lost, the store looks it up by the number that it wrote with
// its changes, on a new connection, and after a failover on another server; a commit
// that has not happened by then is prevented. Only if no server can be reached for
// Options.Recover is the result [store.ErrFailed].
//
// A commit that the server has acknowledged has happened, even if the server reports
// an error after that. A statement_timeout does not end the wait for a
// synchronous standby, because the server would then acknowledge a commit that
// the standby does not have.
//
// # Settings of the server
//
// A store works under any defaults that a server, a database or a role has for
// isolation, search path, formats, time zone, planning and timeouts. Except for
// idle transactions, those stay in force: a statement that exceeds statement_timeout fails and has
// changed nothing, and one that exceeds lock_timeout is tried again. With
// default_transaction_read_only nothing is written and the server's error is
// returned. Sessions of a caller's pool must have the client encoding UTF8.
//
// # Watchers
//
// Watchers and pollers of one handle share what they ask the server, so their
// number does not matter to it:
//
//   - While nothing is committed, all watchers together cost one query each
//     Options.Poll.
//   - Watchers that have seen all but the latest 1,000 transitions share reads of
//     the feed, whatever their pace: about 200 a second if there are many watchers,
//     and never more than 1,000. Each read is one query, or two if its
//     transitions have to be made durable first.
//   - A watcher that is further behind reads pages of its own, of 1,000
//     transitions.
//   - Calls that load the same task at the same time share one query, and begin
//     the next one together. Pollers of different tasks cost a query each.
//
// The benchmark BenchmarkWatchers shows it: with a writer of 220 commits a second
// and watchers that take 0 to 3 ms for each transition, a handle asked the server
// 142 times a second for one watcher, 614 for 10, 392 for 100 and 250 for 500.
//
// # Leases
//
// A task carries the number of the handle that holds its lease, and the
// handle's row the time until which it lives, renewed by one update for all
// tasks. See [store.Leaser]. All times are the database's.
//
// # Frozen processes
//
// A process can be frozen in a commit: it is stopped, or its machine is paused. Its
// connection stays, and the kernel of a stopped process answers keepalives. Others
// wait for the locks of its transaction, but not as long as it is frozen:
//
//   - Between the two round trips of a commit, it has locked the commit's tasks. The
//     server ends such a transaction after 5 seconds, by the setting
//     idle_in_transaction_session_timeout, which the store sets for transactions of
//     several round trips, also in migrations and trims. The process repeats the
//     commit when it continues.
//   - [Store.TakeOver] does not wait for a locked task, so an engine takes over all
//     others. It finds the locked one the next time.
//   - Each step of a commit waits for locks for at most Options.Recover. It then
//     fails and has changed nothing. A commit has the changes of several requests, so
//     requests about other tasks can wait and fail with it.
//   - The turn is kept only while the server executes a commit. The system takes a
//     commit of up to 64 KB from the process at once. A larger one arrives in pieces,
//     and is one statement, which the server begins when it has all of it.
//
// In two cases, locks last until the process continues, because the server does
// not regard a transaction as idle while it has a part of a request. A large commit
// keeps its tasks if the process is frozen while the system takes its second
// request in pieces. A large commit keeps the turn if only its last 200 bytes are
// missing at that time. From PostgreSQL 17 on, the setting transaction_timeout ends
// these transactions too. The store does not set it, because earlier versions refuse it.
//
// # Requirements
//
// PostgreSQL 13 or later, with READ COMMITTED and REPEATABLE READ transactions,
// row locks with SKIP LOCKED, INSERT with ON CONFLICT, statements that modify
// data in WITH (each table once a statement), unnest of several arrays WITH
// ORDINALITY, LATERAL, partial indexes, sequences and advisory locks, and
// PL/pgSQL for the one procedure. LISTEN and NOTIFY only shorten waits and can
// be turned off. The store uses no triggers, extensions, foreign keys or types.
// Roles that write need the right to execute the procedure, which all roles
// have by default. All tests pass with versions 13 to 18.
//
// Behind a pooler that shares sessions among transactions, set NoNotify, and
// set pgx's default_query_exec_mode to cache_describe, exec or simple_protocol:
// the default, cache_statement, and describe_exec rely on state that the
// session keeps from earlier statements. The keepalives that Open sets then
// apply between the pooler and the server; the pooler's own settings must
// detect a client whose machine is down. Tests run behind pgbouncer 1.18 in
// transaction mode.
//
// No compatible distributed database was tried. According to its documentation,
// CockroachDB has no advisory locks, no LISTEN and NOTIFY, and partitions only
// by list and range: the first start would fail, or two starts at once would
// conflict. Recent releases of YugabyteDB have everything, READ COMMITTED only
// with a flag. Citus locks rows for update only in queries of a single shard,
// and cannot enforce uniqueness across shards without the distribution column.
// It could therefore only keep a store in undistributed tables of one node.
//
// # Cost
//
// The benchmarks print all of this together with pgbench's simple update, and compare
// a store of many tasks with a small one:
//
//	go test -run '^$' -bench . -growth 1000000 -timeout 0
//
// Commits on two cores that server and engines shared, by a Unix socket, medians of
// five rounds in turns with pgbench, which did 2,100 simple updates a second with
// one client and 7,500 with 16, and medians and ranges of nine such runs:
//
//	transitions/s, group commit included     before    now       x pgbench
//	one process, one writer                  1,397     2,480     1.25 (1.11 to 1.34)
//	16 processes, one writer each            980       3,380     0.45 (0.37 to 0.55)
//	one process, 256 writers                 10,196    31,000
//
// Four processes do more together than one of 256 writers: 1.10 times as much with
// 64 writers each, 1.59 times with 256 each. These are medians of five later runs,
// with ranges of 0.99 to 1.19 and 1.32 to 1.74. In four of them, other work also
// ran on the machine. In the fifth, the rates were 34,100 with one process, and
// 40,700 and 45,100 with four.
//
// "Before" is a commit of nine statements, on a day when round trips took half as
// long: pgbench did 3,600 updates with one client and 7,500 with 16. A commit has
// one round trip and an update has five, so with one writer the ratio depends on
// them.
//
// A commit of one of 16 processes takes 320 microseconds of the server's processor
// time and 90 of the process. 120 of them are for the turn: the sequence, and above
// all waiting for the lock and waking up. The transaction that waits for the disk
// takes 35. A transition of four processes of 64 writers takes 1.4 times the
// processor time of one of a process of 256: its commits are smaller. With 256
// writers in each of the four, it takes the same.
//
// A snapshot of 10 nodes takes 1.4 times as long as a SELECT of one row by key when
// the machine is quiet, and 1.6 times when it is not. The round trip is the same. The server
// takes 30 microseconds instead of 15, since it opens four tables instead of one,
// and the handle takes 9 for decoding.
//
//	bytes a node, of 20 in a finished task, with indexes
//	nodes 232, names 116, transitions (three a node) 556, tasks 55: 959 in all
//
// In an earlier measurement, a store of a million tasks of 5 nodes did 0.7
// times as many snapshots a second as one of a thousand, 0.75 times as many
// lists, and as many transitions. With an empty page cache, snapshots took 8
// times as long because they waited for the disk.
//
// # Large fleets
//
// This is an estimate from the figures above, not a measurement.
//
// The first limit is the cost of a commit. 10,000 runners with a transition a
// second each offer little to group, and two cores process about 3,400 such
// commits a second, including the runners' part. That makes six cores, or three
// stores of two cores each. A second part of this limit is the turn that
// commits take: it lasts from the statement that assigns sequences to the end
// of its transaction, a fraction of a millisecond, and does not include the
// wait for the disk or a synchronous standby. A standby in another building
// therefore makes commits slow but not few. The number of turns a second on a
// larger server has not been measured, so count on 3,400 commits a second for
// each store: 10,000 need three stores. The fleet is then divided by business:
// each store is a schema, at first on the same server and later on its own
// server. With many writers in each process, group commit makes this 31,000 or
// more transitions a second on two cores. Assigning sequences after the
// commits would avoid the turns, but every answer would wait for the
// assignment, because an answer contains a sequence.
//
// The second limit is the number of connections. 10,000 runners cannot have one
// each: PostgreSQL works well with some hundreds. A runner that commits once a
// second needs one for 2 ms, so 100 shared ones are enough, behind a pooler in
// transaction mode; each commit and each reading call is one transaction.
// Watchers must then poll: 10,000 that each poll once a second cost as much as
// the commits, so only few processes should watch and forward the events. A
// process that commits sends NOTIFY at most 20 times a second, and only if there are
// listeners, but each one wakes all of them, so turn it off. Leases should be
// longer than [DefaultLease]: 10,000 renewals every 10 seconds are 1,000 small
// additional commits a second, and with 100 seconds a tenth of that. They take
// no turns, but they do sync.
//
// The third limit is room. A billion nodes at 959 bytes are 0.96 TB; 556 GB of
// it are transitions, three billion rows. Sixteen stores have 60 GB each. One
// machine can cache enough of that, because most reads are of recently written
// data. Options.Partitions divides the large tables by task, so that vacuuming
// and index builds work on one part at a time; 16 to 64 partitions keep each
// part under a few GB. The largest index is that of node names, with 40 bytes a
// node, written in the order of generated IDs. Retention removes tasks, not
// partitions: the engine's Purge deletes 64 in a commit, fewer of large ones.
// Later, [Store.Trim] removes their remaining transitions from the feed, 10,000
// in a transaction. Autovacuum must keep up with both. Neither locks rows that
// others need. To drop whole partitions, they would have to be divided by the
// end time of tasks, which is unknown when rows are written, and the names of
// nodes could not be unique across them.
//
// Some settings matter as well. A transaction that stays open for hours, such
// as a forgotten session or a logical backup, keeps every version of the feed's
// only row alive, three thousand more each second, and every commit must skip them.
// Bound such transactions with idle_in_transaction_session_timeout, and take
// backups from a standby. A client whose machine dies between the packets of a
// commit keeps the turn until the server notices; Open sets the session's TCP
// keepalives to 25 seconds, and a caller's pool should do the same. A failover
// that takes longer than a lease makes every task look abandoned at once; set
// Lease to several times that.
package pgstore
