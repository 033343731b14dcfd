// Package boltstore keeps tasks in a bbolt file, and the latest commits in a journal
// next to it.
//
// # Writing
//
// A commit appends one frame with all its transitions to the journal and syncs
// it once. A bbolt commit syncs twice and writes several pages: overwriting a
// file that was once filled with zeros and syncing it measured 2.1 to 2.4 times
// its rate. The package internal/journal describes it.
//
// Transitions in the journal that are not yet in the file form the overlay, in memory
// and bounded. Readers see the overlay on top of the file. It has two generations: one
// receives commits, and the other is frozen while a goroutine writes it back, in one
// bbolt transaction, sorted by key. A write-back writes the final values of each node,
// regardless of the number of changes. It does not delay commits; only when both
// generations are full do commits wait for it.
//
// The checkpoint is the sequence up to which the file has everything, and the file has
// nothing later. The file is therefore a consistent store at every moment, and a backup
// needs no journal. Open reads the frames after the checkpoint into the overlay and
// loads no task.
//
// # The pair of files
//
// The journal of NAME is NAME-journal. The first commit makes it, and [Store.Close]
// removes it when everything has been written back: after that the file alone is
// the store. If there is no room for that, Close returns an error, and the journal
// stays. Then, and after a crash, the two belong together: copy both or neither. The
// file knows its journal: without it, or with another, an older or a truncated one,
// Open returns [store.ErrCorrupt]. A journal of another file is never read or removed:
// Open renames it by appending ".foreign".
//
// The journal names the last bbolt transaction that was known to be durable. Open
// discards a newer one, which a crash may have left, and answers [store.ErrCorrupt]
// if the file has only older ones.
//
// # Reading
//
// A reader's bbolt transaction and its view of the overlay are of the same moment, so
// it sees the store as of one commit. All results are copies: no transaction is open
// while code of the caller runs, since a long transaction makes the file grow.
//
// A list reads one index: that of a label, of a name, of failures, of
// unfinished tasks or of a business, the first of these that the query names,
// otherwise all tasks. Times and shown states have no index. A page is the
// result of scanning at most 16,384 tasks. After that the page ends, possibly
// empty, with a cursor.
//
// # Durability
//
// When Commit returns without error, its changes survive the end of the process
// and a power cut, as far as the disk keeps synced data. A torn last frame,
// which was never acknowledged, is dropped. Damage to the very last frame looks
// the same; damage to any other is [store.ErrCorrupt]. After a commit that
// failed with an unknown outcome the store refuses everything with
// [store.ErrFailed] until it is reopened.
//
// Only one process at a time can open a file for writing. Keep the file on a
// local disk, and do not overwrite or truncate it while it is open. A commit
// that finds that the path leads to another file returns [store.ErrReplaced].
//
// # A full store
//
// A write-back that fails for lack of room (by [Options.MaxSize], on the disk, or by a
// quota) loses nothing. Commits continue while the journal has room, and then return
// [store.ErrFull]. Part of the journal, of the file and of the disk is reserved for
// deletes: a full store accepts them, removes tasks first, and uses the freed room.
// [Store.Compact] works too.
//
// # Upgrades
//
// A file records its schema. Open refuses a file of a newer schema with
// [store.ErrIncompatible]. It migrates a file of an older schema N to the present one,
// in one transaction: if the process is killed or the migration fails, the file is
// unchanged. Before, Open makes a copy of the file in the same directory, named like it
// with ".schemaN" appended, which only the owner may read; if another file has that
// name, ".schemaN.2" and so on. The copy opens with the version that wrote the file, and
// is never removed. If there is no room for the copy or the new file, the error matches
// [store.ErrFull] and says which, and the file is unchanged.
//
// # Corruption detection
//
// Records end with a checksum, and an index entry counts only if the record it leads to
// agrees: altered bytes are answered with [store.ErrCorrupt]. bbolt's own pages have no
// checksums. A damaged page that no longer leads to a record can make it seem absent,
// which [Store.Check] finds. A page that leads back to an earlier one would keep a
// reader in a loop. Open therefore reads every branch page, about one in a hundred, and
// refuses such a file; it cannot detect later damage to an open file. The other pages
// are examined before a write-back changes them and before a compaction copies them.
// bbolt allocates as much memory as a page asks for, so it never sees a page that was
// not examined.
//
// bbolt has two meta pages, and silently uses the older one if the newer one is
// damaged: the last transaction would be lost. A power cut does not damage a meta page,
// so Open refuses a file with a damaged one, unless it is certainly the older one.
// Nothing is repaired; [Salvage] copies the readable parts of a damaged file and its
// journal into a new file.
package boltstore
