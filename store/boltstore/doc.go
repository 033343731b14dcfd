// Package boltstore keeps tasks in a bbolt file, and what was committed last in
// a journal next to it.
//
// # Writing
//
// A commit appends one frame with all its transitions to the journal and syncs
// it once. A bbolt commit syncs twice and writes several pages: overwriting a
// file that was once filled with zeros and syncing it measured 2.1 to 2.4 times
// its rate. The package internal/journal describes it.
//
// What is journaled and not in the file yet is the overlay, in memory and
// bounded. Readers see it over what is in the file. It has two generations: one
// takes commits, and the other is frozen while a goroutine writes it back, in one
// bbolt transaction, sorted by key. A write-back carries the values that nodes
// have in the end, however often they changed. It takes nothing of a commit's
// time. Only when both generations are full do commits wait for it.
//
// The checkpoint is the sequence up to which the file has everything, and it has
// nothing later. So the file is a consistent store at every moment, and a backup
// needs no journal. Open reads the frames after the checkpoint into the overlay
// and loads no task.
//
// # The pair of files
//
// The journal of NAME is NAME-journal. The first commit makes it, and [Store.Close]
// removes it when everything has been written back: after that the file alone is
// the store. If there is no room for that, Close says so, and the journal stays.
// Then and after a crash the two belong together, and whoever copies one must
// copy the other. The file knows which journal it has: without it, or with
// another, an older or a truncated one, Open answers [store.ErrCorrupt]. A
// journal that is not the file's is never read and never removed: Open gives it
// another name, with ".foreign" appended.
//
// The journal names the last bbolt transaction that was known to be durable. Open
// discards a newer one, which a crash may have left, and answers [store.ErrCorrupt]
// if the file has only older ones.
//
// # Reading
//
// A reader's bbolt transaction and what it takes of the overlay are of one
// moment, so that it sees the store as it was after some commit. Everything is
// copied out: no transaction is open while code of the caller runs, since a long
// one makes the file grow.
//
// # What is durable
//
// When Commit returns without error its changes survive the process and a
// power cut, as far as the disk keeps what fdatasync reported. A last frame that
// was never acknowledged is dropped if it is torn. Damage to the very last frame
// cannot be told from that; damage to any other is [store.ErrCorrupt]. After a
// commit that failed with an unknown outcome the store refuses everything with
// [store.ErrFailed] until it is reopened.
//
// One process at a time can open a file for writing; put it on a local disk, and
// do not copy over or truncate it while it is open. A commit that finds that the
// path no longer leads to the file is answered with [store.ErrReplaced].
//
// # A full store
//
// A write-back for which there is no room in the file, by [Options.MaxSize], on
// the disk, or by a quota, loses nothing. Commits continue while the journal has
// room, then they are answered with [store.ErrFull]. Part of the journal, of the
// file and of the disk is kept for deletes: a full store takes them, removes
// tasks first, and uses the room that they give back. [Store.Compact] works too.
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
// write-back changes them and before a compaction copies them. bbolt asks for as
// much memory as a page says it needs, so it sees none that was not examined.
//
// bbolt has two meta pages, and takes the older one without a word if the newer
// one is damaged: the last transaction would be lost. A power cut leaves no
// damaged one, so Open refuses a file that has one, unless that one says that it
// is the older. Nothing is repaired; [Salvage] copies what can be read of a
// damaged file and its journal into a new one.
package boltstore
