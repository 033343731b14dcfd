package boltstore

import (
	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// A full store must take deletes, and use the room that they give back. So part
// of the journal is kept for their frames, and part of the file and of the disk
// for the transactions that remove tasks: removing copies pages before it frees
// them. When a generation does not fit the file, the deleted tasks of both
// generations are removed first, a few in each transaction, and then it is
// tried again. The file is consistent all the while: as it was at its
// checkpoint, without some tasks.

const (
	// leastMaxSize is the least MaxSize: a new file and what is kept.
	leastMaxSize = 1 << 20
	// removalsAtOnce is how many tasks a transaction removes at most. If there
	// is no room, half as many are tried.
	removalsAtOnce = 64
)

// keptForRemovals is the part of the file that only removals may take.
func keptForRemovals(maxSize int) int { return min(max(maxSize/16, 128<<10), 4<<20) }

// What commits need in a bounded file is estimated, so that it never is so full
// that what was acknowledged does not fit: values are kept up to four times, as
// nodes, headers, transitions, and in the feed, and a page is copied for each of
// a few buckets that have records of a task.
const (
	copiesOfValues = 4
	bytesOfCopies  = 4 * 4096
)

// needs is the room that a generation, or a part of a commit, may take.
func needs(bytes int64, tasks int, used int64) int64 {
	return copiesOfValues*bytes + min(int64(tasks)*bytesOfCopies, used)
}

// fileHasRoom reports whether the file, if it is bounded, has room for what the
// overlay has and a part. In doubt it says no, and the overlay is written back
// to find out.
func (s *Store) fileHasRoom(c *commit) bool {
	if s.opts.MaxSize == 0 {
		return true
	}
	bytes, tasks := int64(c.size), len(c.planned)
	for _, g := range s.overlay.generations() {
		bytes, tasks = bytes+g.payload, tasks+len(g.entries)
	}
	return needs(bytes, tasks, s.used) <= s.room
}

// measureRoom finds out how much of a bounded file is used and how much
// commits may use.
func (s *Store) measureRoom() {
	if s.opts.MaxSize == 0 {
		return
	}
	m, ok := pages.ReadMeta(s.file, s.pageSize)
	if !ok {
		return // who uses the file is told
	}
	free := int64(0)
	if _, err := pages.ReadFreelist(s.file, s.pageSize, &m, func(uint64) { free += s.pageSize }); err != nil {
		return
	}
	size := int64(m.Limit) * s.pageSize
	most := int64(s.opts.MaxSize - keptForRemovals(s.opts.MaxSize) - s.db.AllocSize)
	s.used, s.room = size-free, max(most-size, 0)+free
}

// removals are deleted tasks to be removed before the frozen generation is
// tried again, nil if there are none or if room is not what it lacks.
func (s *Store) removals() (list []*entry) {
	if s.phase != stalled || !isFull(s.stalledBy) {
		return nil
	}
	for _, g := range s.overlay.generations() {
		if g.deletions == 0 {
			continue
		}
		for number, e := range g.entries {
			if _, done := s.ahead[number]; e.deleted && !done && len(list) < s.atOnce {
				list = append(list, e)
			}
		}
	}
	return list
}

// gaveRoom reports whether it is worth trying the frozen generation again.
func (s *Store) gaveRoom() bool { return s.freed || s.removals() != nil }

// removed publishes a removal. The caller has the turn.
func (s *Store) removed(w *writeBack) {
	s.phase, s.freed = stalled, true
	for _, e := range w.removals {
		s.ahead[e.number] = struct{}{}
	}
	s.atOnce = min(2*s.atOnce, removalsAtOnce)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = int(w.mark.Transaction)
}

// removeTasks removes tasks from the file.
func removeTasks(tx *bolt.Tx, list []*entry, ready readiness) error {
	var p pass
	for _, e := range list {
		p.remove(tx, e)
	}
	return p.write(tx, ready)
}
