// Package boltstore keeps tasks in one bbolt file.
//
// # Writing
//
// A commit appends one record with all its transitions to a journal, in one
// bbolt transaction, and waits for nothing else. Writing every node in its
// place instead dirties a page for each: measured at 1,024 concurrent tasks,
// 21–45 µs a transition against 3.4–3.6 µs for journal and write-back together.
//
// What is journaled but not in its place yet is the overlay, in memory and
// bounded. Readers see it over what is on disk. Later commits write it back,
// the task with the oldest entry first, sorted by key and in even slices, so
// that no commit pays for many; what a slice needs is gathered beside a commit,
// when nobody else has work. A write-back carries the values that nodes have in
// the end, however often they changed, and may stop anywhere: doing it again
// writes the same.
//
// The checkpoint is the sequence up to which everything is in its place. Open
// reads the journal after it into the overlay and loads no task. The journal
// itself is the store-wide feed of changes, trimmed up to the smaller of the
// checkpoint and what the feed keeps.
//
// # Reading
//
// Overlay and read transaction are taken together, under a lock that commits
// hold only to publish, so that a reader sees the store as it was after some
// commit. Everything is copied out: no transaction is open while code of the
// caller runs, since a long one makes the file grow.
//
// # What is durable
//
// When Commit returns without error its changes survive the process and a
// power cut, as far as the disk keeps what fdatasync reported. After a commit
// that failed with an unknown outcome the store refuses everything with
// [store.ErrFailed] until it is reopened, because bbolt may show readers a
// meta page that never reached the disk. A file that is full is not that: the
// commit is tried once more without its write-back, then answered with
// [store.ErrFull].
//
// One process at a time can open a file for writing; put it on a local disk, and
// do not copy over or truncate it while it is open. A commit that finds that the
// path no longer leads to the file is answered with [store.ErrReplaced]. A disk
// without room is like a full
// file, as long as readers cannot see anything of the commit; so is one whose
// quota is used up, and a file that may not become longer.
//
// # Upgrades
//
// A file says which schema it has. One of a newer schema is refused with
// [store.ErrIncompatible]. One of an older schema N is brought to the present
// one by Open, in one transaction: a process that is killed meanwhile, or a
// migration that fails, leaves the file as it was. Before, Open keeps a copy of
// it beside it, named like it with ".schemaN" appended, which only the owner
// may read; if that name is taken by another file, ".schemaN.2" and so on. The
// copy opens with the version that wrote the file. Nothing removes it. If there
// is no room for the copy or the new file, the error matches [store.ErrFull],
// says which, and the file is as it was.
//
// # What is noticed of damage
//
// Records end with a checksum, and an index entry is believed only if what it
// leads to says the same: altered bytes are answered with [store.ErrCorrupt].
// bbolt's own pages have no checksums. One that no longer leads to a record can
// make it seem absent, which [Store.Check] finds. One that leads back to where
// a reader has been would keep it for ever, so Open reads every page that leads
// to others, about one in a hundred, and refuses the file; what happens to the
// pages of an open file it cannot know. The other pages are examined before a
// commit changes them and before a compaction copies them. bbolt asks for as much
// memory as a page says it needs, so it sees none that was not examined.
//
// bbolt has two meta pages, and takes the older one without a word if the newer
// one is damaged: the last commit would be lost. A power cut leaves no damaged
// one, so Open refuses a file that has one, unless that one says that it is the
// older. Nothing is repaired; [Salvage] copies what can be read of a damaged file
// into a new one.
package boltstore
