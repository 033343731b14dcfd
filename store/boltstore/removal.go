package boltstore

import (
	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// A full store must accept deletes and use the freed room. Part of the journal is
// therefore reserved for their frames, and part of the file and of the disk for the
// transactions that remove tasks, because removing copies pages before it frees them.
// When a generation does not fit the file, the deleted tasks of both generations are
// removed first, a few in each transaction, before the next try. The file is consistent
// at every moment: it has the state of its checkpoint, without some tasks.

const (
	// leastMaxSize is the least MaxSize: room for a new file and the reserves.
	leastMaxSize = 1 << 20
	// removalsAtOnce is the most tasks that a transaction removes. If there is
	// no room for it, the next one removes half as many.
	removalsAtOnce = 64
)

// keptForRemovals is the part of the file that is reserved for removals.
func keptForRemovals(maxSize int) int { return min(max(maxSize/16, 128<<10), 4<<20) }

// A bounded file must never be so full that acknowledged transitions do not
// fit, so the needs of commits are estimated: values are kept up to four times,
// as nodes, headers, transitions, and in the feed, and a page is copied for
// each of a few buckets that have records of a task.
const (
	copiesOfValues = 4
	bytesOfCopies  = 4 * 4096
)

// needs is the most room that a generation, or a part of a commit, takes.
func needs(bytes int64, tasks int, used int64) int64 {
	return copiesOfValues*bytes + min(int64(tasks)*bytesOfCopies, used)
}

// fileHasRoom reports whether the file, if it is bounded, has room for the
// overlay and a part. When the estimate says no, the overlay is written back to
// find out.
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

// measureRoom measures how much of a bounded file is used and how much commits
// may use.
func (s *Store) measureRoom() {
	if s.opts.MaxSize == 0 {
		return
	}
	m, ok := pages.ReadMeta(s.file, s.pageSize)
	if !ok {
		return // the next use of the file returns the error
	}
	free := int64(0)
	if _, err := pages.ReadFreelist(s.file, s.pageSize, &m, func(uint64) { free += s.pageSize }); err != nil {
		return
	}
	size := int64(m.Limit) * s.pageSize
	most := int64(s.opts.MaxSize - keptForRemovals(s.opts.MaxSize) - s.db.AllocSize)
	s.used, s.room = size-free, max(most-size, 0)+free
}

// removals returns the deleted tasks to remove before the frozen generation is
// tried again, nil if there are none or if the write-back failed for another
// reason than lack of room.
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

// gaveRoom reports whether the frozen generation may fit now, or after
// removals.
func (s *Store) gaveRoom() bool { return s.freed || s.removals() != nil }

// publishRemoval publishes a removal. The caller has the turn.
func (s *Store) publishRemoval(w *writeBack) {
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
