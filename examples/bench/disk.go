package main

import (
	"context"
	"errors"

	bolt "go.etcd.io/bbolt"
)

const (
	diskFigure = "finished node on disk"
	diskGoal   = "≤ 210 B"
)

var diskFigures = []string{diskFigure}

// measureDisk measures the pages of a compacted file of finished tasks, including
// headers, transitions and indexes, but not the feed of changes, which is bounded.
func (b *bench) measureDisk(ctx context.Context) error {
	r, err := openRecorder(ctx, b.file("disk.db"), nil, nil)
	if err != nil {
		return err
	}
	b.progress.Show("tasks")
	err = fill(ctx, r.Engine, "task", b.finished, nil, nil)
	if err := errors.Join(err, r.close()); err != nil {
		return err
	}
	b.progress.Show("compaction")
	pages, feed, err := compactedPages(r.path, b.file("compacted.db"))
	if err != nil {
		return err
	}
	each := float64(pages) / float64(b.finished*taskNodes)
	b.add(measured(diskFigure, each, "B").goal(diskGoal, each <= 210).
		note("tasks of %d nodes; the feed has %d B more", taskNodes, feed/(b.finished*taskNodes)))
	return nil
}

// compactedPages copies a file in order and returns the bytes of its pages.
func compactedPages(from, to string) (pages, feed int, err error) {
	src, err := bolt.Open(from, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := bolt.Open(to, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := bolt.Compact(dst, src, 1<<20); err != nil {
		return 0, 0, err
	}
	err = dst.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			s := bucket.Stats()
			if n := s.BranchAlloc + s.LeafAlloc; string(name) == "feed" {
				feed += n
			} else {
				pages += n
			}
			return nil
		})
	})
	return pages, feed, err
}
