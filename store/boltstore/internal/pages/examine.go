package pages

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/pipestatus/pipestatus/store"
)

// Examine examines a file before bbolt opens it: the page size, the number of
// pages, the list of free pages, and the pages that branches lead to. The caller has
// the file's lock, so no other process writes to it.
func Examine(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	pageSize, ok := readPageSize(file, info.Size())
	if !ok {
		return fmt.Errorf("%w: both meta pages are damaged", store.ErrCorrupt)
	}
	m, ok := ReadMeta(file, pageSize)
	switch {
	case !ok || m.PageSize != pageSize || pageSize < minPageSize || pageSize > maxPageSize || pageSize&(pageSize-1) != 0:
		return fmt.Errorf("%w: pages of %d bytes", store.ErrCorrupt, pageSize)
	case m.Limit > uint64(info.Size()/pageSize):
		return fmt.Errorf("%w: the file has %d of its %d pages", store.ErrCorrupt, info.Size()/pageSize, m.Limit)
	}
	if err := ExamineOtherMeta(file, &m); err != nil {
		return err
	}
	return examinePages(file, &m)
}

// bbolt uses the page size of the system that made the file.
const (
	minPageSize = 1 << 10
	maxPageSize = 1 << 16
)

// readPageSize returns the page size that bbolt will use: that of the first
// meta page or, if it is damaged, the one given by the place of the second.
func readPageSize(file *os.File, size int64) (int64, bool) {
	if m, ok := ReadMetaAt(file, 0); ok {
		return m.PageSize, true
	}
	for at := int64(1 << 10); at <= 1<<24 && at < size-1<<10; at <<= 1 {
		if m, ok := ReadMetaAt(file, at); ok {
			return m.PageSize, true
		}
	}
	return 0, false
}

// examinePages examines the list of free pages and the branches. No transaction
// has begun yet.
func examinePages(file *os.File, m *Meta) error {
	unused, err := Unused(file, m.PageSize, m)
	if err != nil {
		return err
	}
	problem := ""
	w := walk{
		file: file, pageSize: m.PageSize, limit: m.Limit, seen: *unused, branches: true,
		report: func(p string) { problem = cmp.Or(problem, p) },
	}
	if !w.from(context.Background(), m.Root) {
		return fmt.Errorf("%w: %s", store.ErrCorrupt, problem)
	}
	return nil
}
