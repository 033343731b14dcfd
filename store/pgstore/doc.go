// Package pgstore keeps tasks in PostgreSQL, for fleets of runners that share
// what they know. Any number of handles in any number of processes work on one
// store: an engine stands on its handle as it would on a file, and changes of
// two processes to one task are serialised by the task's revision.
//
// # Writing
//
// A commit is one transaction in two round trips, however many changes it has.
// The first locks the rows of the tasks, in the order of their internal names,
// and looks up which names are in use; which changes apply is then decided
// here, and those that do not are left out with their error. The second writes
// all others with one statement a table, given as arrays, takes the sequences
// and commits. If another transaction took a name in between, the database
// refuses the insert and the whole is tried again, which then finds the name.
// Tasks never wait for each other until there; sequences are given out one
// commit at a time, and a comment in sql.go says why.
//
// # What is durable
//
// Whatever the database makes of a commit: with synchronous_commit on, which is
// the default, its log is on disk, and on a synchronous standby if there is
// one. A commit whose answer was lost is looked up by the number it wrote with
// its changes, on a new connection, to another server if there was a failover;
// one that has not happened by then is kept from happening. Only if nobody can
// be asked for as long as Options.Recover is it [store.ErrFailed].
//
// # Who runs what
//
// A task carries the number of the handle that holds its lease, and the
// handle's row the time until which it lives, renewed by one update for all
// tasks. See [store.Leaser]. All times are the database's.
//
// # What it needs
//
// PostgreSQL 13 or later, with READ COMMITTED and REPEATABLE READ
// transactions, row locks with SKIP LOCKED, INSERT with ON CONFLICT,
// statements that modify data in WITH (each table once a statement), unnest of
// several arrays WITH ORDINALITY, LATERAL, partial indexes, sequences, and at
// the first start an advisory lock. LISTEN and NOTIFY only shorten waiting and
// can be turned off. There are no triggers, no functions, no extensions, no
// foreign keys and no types of its own. Tested with version 15. That is meant
// to be what the compatible distributed databases have too, but none of them
// was tried. Behind a pooler that shares sessions among transactions, use
// pgx's default_query_exec_mode to do without prepared statements, and
// NoNotify; not tried either.
package pgstore
