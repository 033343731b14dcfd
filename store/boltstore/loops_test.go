package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

const tallTasks = 100

func tallKey(i int) state.Key { return state.Key{Business: "2", Task: fmt.Sprint(i)} }

// tallFile returns the image of a closed file, in which some buckets have
// branches, and its pages by depth, beginning with the root of the bucket.
func tallFile(t *testing.T, b bucket) (image []byte, pageSize int, levels [][]uint64) {
	t.Helper()
	s := openQuick(t, filepath.Join(t.TempDir(), "tall.db"), nil)
	m := newModel()
	for i := range tallTasks {
		op := newRoot(fmt.Sprint("root", i))
		op.Name = strings.Repeat("n", 400) // few to a page
		m.do(t, s, tallKey(i), op)
	}
	image, pageSize = s.closedImage(t), int(s.pageSize)
	var root uint64
	db, err := bolt.Open(s.path, 0o600, nil)
	if err == nil {
		err = db.View(func(tx *bolt.Tx) error { root = uint64(b.in(tx).RootPage()); return nil })
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for level := []uint64{root}; len(level) > 0; {
		levels = append(levels, level)
		var below []uint64
		for _, id := range level {
			below = append(below, children(image[int(id)*pageSize:])...)
		}
		level = below
	}
	return image, pageSize, levels
}

// children returns the pages that a page leads to.
func children(page []byte) (ids []uint64) {
	if binary.NativeEndian.Uint16(page[8:]) == pages.Branch {
		for i := range int(binary.NativeEndian.Uint16(page[10:])) {
			ids = append(ids, binary.NativeEndian.Uint64(page[pages.HeaderBytes+i*pages.ElementBytes+8:]))
		}
	}
	return ids
}

// freePages returns the pages that an image lists as free, at least one.
func freePages(t *testing.T, image []byte, meta *pages.Meta) (free []uint64) {
	t.Helper()
	_, err := pages.ReadFreelist(bytes.NewReader(image), meta.PageSize, meta, func(id uint64) { free = append(free, id) })
	if err != nil || len(free) == 0 {
		t.Fatalf("%d free pages, %v", len(free), err)
	}
	return free
}

// A page that leads back would make a reader loop until the process ends. Open
// therefore refuses the file, wherever the page is.
func TestOpenDetectsAPageThatLeadsBack(t *testing.T) {
	for b := feedBucket; b <= nodesBucket; b++ {
		image, size, levels := tallFile(t, b)
		if len(levels) < 2 {
			t.Fatalf("bucket %s has no branch", bucketNames[b])
		}
		meta, ok := pages.ReadMeta(bytes.NewReader(image), int64(size))
		if !ok {
			t.Fatal("no meta page")
		}
		branches := levels[len(levels)-2] // above the leaves
		from := branches[len(branches)-1]
		leaves := children(image[int(from)*size:])
		free := freePages(t, image, &meta)
		for name, to := range map[string]uint64{
			"itself": from, "the root of the bucket": levels[0][0], "the root": meta.Root,
			"a meta page": 1, "the list of free pages": meta.Freelist, "a free page": free[0],
			"another's leaf": leaves[1], "behind the end": meta.Limit, "far behind the end": 1 << 62,
		} {
			for _, i := range []int{0, len(leaves) - 1} {
				altered := bytes.Clone(image)
				binary.NativeEndian.PutUint64(altered[int(from)*size+pages.HeaderBytes+i*pages.ElementBytes+8:], to)
				expectRefusedFile(t, altered, fmt.Sprintf("%s: element %d of %d leads to %s", bucketNames[b], i, len(leaves), name))
			}
		}
	}
}

// A leaf marked as a branch leads to pages that do not exist. Open does not
// examine leaves, but a reader gets an error.
func TestALeafMarkedAsABranchDoesNotTrapReaders(t *testing.T) {
	image, size, levels := tallFile(t, nodesBucket)
	leaves := levels[len(levels)-1]
	for _, leaf := range leaves[1:] {
		binary.NativeEndian.PutUint16(image[int(leaf)*size+8:], pages.Branch)
	}
	s := openImage(t, image, nil)
	told := 0
	for i := range tallTasks {
		switch _, err := s.Load(t.Context(), store.ByKey(tallKey(i).Business, tallKey(i).Task)); {
		case errors.Is(err, store.ErrCorrupt):
			told++
		case err != nil:
			t.Errorf("load: %v", err)
		}
	}
	if told < tallTasks/2 {
		t.Errorf("%d of %d readers were told", told, tallTasks)
	}
	first := bytes.Clone(image)
	binary.NativeEndian.PutUint16(first[int(leaves[0])*size+8:], pages.Branch)
	expectRefusedFile(t, first, "the first leaf says it is a branch")
}

func expectRefusedFile(t *testing.T, image []byte, what string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "loop.db")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, nil)
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "page ") {
		t.Errorf("%s: error %v, want one that matches %q and names a page", what, err, store.ErrCorrupt)
	}
}

// An altered key is out of order. A caller that continues from it must not
// return to an earlier key.
func TestKeysOutOfOrderDoNotTrapReaders(t *testing.T) {
	for _, b := range []bucket{tasksBucket, unfinishedBucket, businessBucket} {
		image, size, levels := tallFile(t, b)
		key := seqKey(50)
		if b == businessBucket {
			key = indexKey(businessPrefix("2"), 50)
		}
		changed := 0
		for _, leaf := range levels[len(levels)-1] {
			page := pages.Inline(image[int(leaf)*size:][:size])
			page.Elements(func(_ uint32, k, _ []byte, _ uint64) {
				if bytes.Equal(k, key) {
					k[len(k)-1] = 90
					changed++
				}
			})
		}
		if changed != 1 {
			t.Fatalf("bucket %s: the key is there %d times", bucketNames[b], changed)
		}
		s := openImage(t, image, nil)
		q := store.ListQuery{Limit: 1, Unfinished: b == unfinishedBucket}
		if b == businessBucket {
			q.Business = "2"
		}
		for pages := 1; ; pages++ {
			page, err := s.List(t.Context(), q)
			if q.Cursor = page.Cursor; errors.Is(err, store.ErrCorrupt) || err == nil && q.Cursor == "" {
				break
			}
			if err != nil || pages > tallTasks {
				t.Errorf("bucket %s: after %d pages of %d tasks: %v, cursor %q", bucketNames[b], pages, tallTasks, err, q.Cursor)
				break
			}
		}
	}
}
