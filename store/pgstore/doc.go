// Package pgstore keeps tasks in PostgreSQL, for fleets of runners that share a
// store. Any number of handles in any number of processes work on one store: an
// engine uses its handle like a file, and the task's revision serializes changes of
// two processes to one task.
//
// # Writing
//
// A commit is one round trip, however many changes it has, if the handle made the
// last transitions of their tasks or creates them. One statement, or two if others
// commit too, locks the rows of the tasks, checks that they are as the handle left
// them, by revision and holder of the lease, and writes everything: names, nodes,
// attempts, labels, data, and last what has sequences. If a task is not as
// expected, nothing is written, and the commit is made in two round trips. The
// first locks the tasks, in the order of their internal names, and looks up which
// names are in use. Which changes apply is then decided here, and those that do
// not are left out with their error. The second writes all others, in the same
// way. If another transaction took a name in between, the database refuses the
// insert and the whole is tried again, which then finds the name. writing.go says
// how the statements are made. A commit of one task, without labels or data, calls
// a procedure instead, which does the same for less: see move.go.
//
// Tasks never wait for each other until sequences are given out, one commit at a
// time. That turn ends before the disk has the commit, so commits share syncs,
// and readers tell of nothing that the disk does not have; durable.go says how.
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
// isolation, search path, formats, time zone, planning and timeouts. Those
// stay in force: a statement that exceeds statement_timeout fails and has
// changed nothing, and one that exceeds lock_timeout is tried again. With
// default_transaction_read_only nothing is written and the server's error is
// returned. Sessions of a caller's pool must have the client encoding UTF8.
//
// # Leases
//
// A task carries the number of the handle that holds its lease, and the
// handle's row the time until which it lives, renewed by one update for all
// tasks. See [store.Leaser]. All times are the database's.
//
// # Requirements
//
// PostgreSQL 13 or later, with READ COMMITTED and REPEATABLE READ
// transactions, row locks with SKIP LOCKED, INSERT with ON CONFLICT,
// statements that modify data in WITH (each table once a statement), unnest of
// several arrays WITH ORDINALITY, LATERAL, partial indexes, sequences and
// advisory locks, and with PL/pgSQL, in which the one procedure is written.
// LISTEN and NOTIFY only shorten waiting and can be turned off. There are no
// triggers, no extensions, no foreign keys and no types of its own. Whoever
// writes needs the right to execute the procedure, which everybody has by
// default. All tests pass with version 15. The contract,
// the model test and those of migrations, prepared transactions and faults passed with
// 13, 14, 16, 17 and 18, but the failover test has run on 15 only.
//
// Behind a pooler that shares sessions among transactions, set NoNotify and
// pgx's default_query_exec_mode to cache_describe, exec or simple_protocol: its
// default, cache_statement, and describe_exec rely on what the session knows of
// an earlier statement. The keepalives that Open sets are then those between
// the pooler and the server, and the pooler's own settings are to notice that a
// client's machine is gone. Tests run behind pgbouncer 1.18 in transaction mode.
//
// No compatible distributed database was tried. By their
// documentation, CockroachDB has neither advisory locks nor LISTEN and NOTIFY,
// and partitions by list and range only: the first start would fail or be
// unprotected from another at the same time. YugabyteDB has all of it in recent
// releases, READ COMMITTED if a flag allows it. Citus locks rows for update
// only in queries of a single shard, and keeps nothing unique across shards that
// does not include what it distributes by, so it could carry a store in the
// undistributed tables of one node alone.
//
// # Cost
//
// The benchmarks print all of this together with pgbench's simple update, and compare
// a store of many tasks with a small one:
//
//	go test -run '^$' -bench . -growth 1000000 -timeout 0
//
// Commits on two cores that server and engines shared, by a Unix socket, medians of
// five rounds in turns with pgbench, which did 3,500 to 3,700 simple updates a
// second with one client and 7,500 with 16:
//
//	transitions/s, group commit included     before    now     x pgbench
//	one process, one writer                  1,397     2,142   0.61
//	16 processes, one writer each            980       1,346   0.18
//	one process, 256 writers                 10,196    19,242
//	four processes, 64 writers each          9,936     16,236
//
// "Before" is a commit of nine statements, with an engine that read the feed after
// each commit of others and an index that made every transition write an entry
// into each index of tasks. "Now" is one statement, not yet divided in two for
// commits among others.
//
//	bytes a node, of 20 in a finished task, with indexes
//	nodes 236, names 116, transitions (three a node) 562, tasks 48: 962 in all
//
// Earlier, a store of a million tasks of 5 nodes did 0.7 times as many snapshots a
// second as one of a thousand, 0.75 times as many lists, and as many transitions.
// When the page cache was empty, snapshots were 8 times as slow: they waited for
// the disk.
//
// # Large fleets
//
// This is an estimate from the figures above, not a measurement.
//
// The first thing to break is what a commit costs. 10,000 runners with a
// transition a second each have little to group, and two cores carry about 1,350
// such commits a second, the runners' part included. So that is 15 cores, or eight
// stores of two cores each. The second limit is the turn that commits take: it
// lasts from the statement that gives sequences out to the end of its transaction,
// a fraction of a millisecond, and not as long as the disk or a synchronous
// standby needs. A standby in another building makes commits slow but not few. As
// long as nobody has measured how many turns a second a larger server makes, count
// on 1,350 for one store: 10,000 commits a second are eight stores. The
// fleet is then divided by business, each store a schema of its own for as long as
// one server carries them, and on a server of its own later. Where processes have many writers, group commit makes this 16,000 to
// 19,000 transitions a second on two cores. Numbering transitions after the fact
// would free the commits of their turns and make every answer wait for whoever
// numbers, since an answer is a sequence.
//
// The second are connections. 10,000 runners cannot have one each: PostgreSQL
// is comfortable with some hundreds. A runner that commits once a second needs
// one for 2 ms, so 100 shared ones would do, behind a pooler in transaction
// mode; each commit and each reading call is one transaction. Watchers must then
// poll: 10,000 that each ask once a second cost as much as they commit, so few
// processes should watch and pass on what they see. In a process, watchers that
// ask for the same share one answer. NOTIFY, which a process that commits sends 20
// times a second at most, and only while somebody listens, wakes everyone and is to
// be turned off. Leases want longer than 30 seconds: 10,000 renewals each 10
// seconds are 1,000 small commits a second beside the others, each 100
// seconds a tenth of that. They do not take turns, but they do sync.
//
// The third is room. A billion nodes at 962 bytes are 0.96 TB; 562 GB of it
// are transitions, three billion rows. Sixteen stores have 60 GB each, within
// what one machine caches well enough, as what is read most is what was written
// last. Options.Partitions divides the large tables by task, so that vacuuming
// and index builds go in parts; 16 to 64 of them keep each under a few GB. The
// largest index is that of node names, 40 bytes a node and written in the order
// of generated IDs. Retention goes by tasks and not by partitions: the engine's
// Purge deletes 64 in a commit, fewer of large ones, [Store.Trim] later removes
// what the feed still kept of them, 10,000 transitions in a transaction, and
// autovacuum must keep up with both. Neither locks anything that others want.
// Partitions to be dropped would have to be by the time at which tasks end,
// which is not known when their rows are written, and the names of nodes could
// not be unique across them.
//
// What also breaks: a transaction left open for hours, a forgotten session or a
// logical backup, keeps every version of the one row in feed alive, a thousand
// a second, through which each commit then has to go. Bound them with
// idle_in_transaction_session_timeout and take backups from a standby. A client
// whose machine dies between the packets of a commit holds the turn until the
// server notices; Open sets the session's TCP keepalives to 25 seconds, a pool
// of the caller's should too. And a failover that takes longer than a lease
// makes every task look abandoned at once; Lease should be several times that.
package pgstore
