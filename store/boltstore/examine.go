package boltstore

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/pipestatus/pipestatus/store"
)

// examineFile examines a file before bbolt opens it: the page size, the number of
// pages, the list of free pages, and the pages that branches lead to. The caller has
// the file's lock, so no other process writes to it.
func examineFile(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	pageSize, ok := readPageSize(file, info.Size())
	if !ok {
		return fmt.Errorf("%w: no meta page is whole", store.ErrCorrupt)
	}
	m, ok := readMeta(file, pageSize)
	switch {
	case !ok || m.pageSize != pageSize || pageSize < minPageSize || pageSize > maxPageSize || pageSize&(pageSize-1) != 0:
		return fmt.Errorf("%w: pages of %d bytes", store.ErrCorrupt, pageSize)
	case m.limit > uint64(info.Size()/pageSize):
		return fmt.Errorf("%w: the file has %d of its %d pages", store.ErrCorrupt, info.Size()/pageSize, m.limit)
	}
	if err := examineOtherMeta(file, &m); err != nil {
		return err
	}
	return checkPages(file, &m)
}

// Pages have the size of the system's that made the file.
const (
	minPageSize = 1 << 10
	maxPageSize = 1 << 16
)

// readPageSize returns the size of pages that bbolt will find: that of the first
// meta page or, if that is not whole, of the second one, whose place tells.
func readPageSize(file *os.File, size int64) (int64, bool) {
	if m, ok := readMetaAt(file, 0); ok {
		return m.pageSize, true
	}
	for at := int64(1 << 10); at <= 1<<24 && at < size-1<<10; at <<= 1 {
		if m, ok := readMetaAt(file, at); ok {
			return m.pageSize, true
		}
	}
	return 0, false
}

// checkPages examines the list of free pages and the branches, before the first
// transaction can be.
func checkPages(file *os.File, m *bboltMeta) error {
	unused, err := unusedPages(file, m.pageSize, m)
	if err != nil {
		return err
	}
	problem := ""
	w := pageWalk{
		file: file, pageSize: m.pageSize, limit: m.limit, seen: *unused, branches: true,
		report: func(p string) { problem = cmp.Or(problem, p) },
	}
	if !w.walk(context.Background(), m.root) {
		return fmt.Errorf("%w: %s", store.ErrCorrupt, problem)
	}
	return nil
}

// maxKey is the longest key that bbolt takes.
const maxKey = 1 << 15
