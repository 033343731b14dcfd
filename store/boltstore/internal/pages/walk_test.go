package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// tallFile is the image of a file whose buckets have branches, and the leaves of its
// buckets.
func tallFile(t *testing.T, buckets, records int) (image []byte, pageSize int64, leaves []uint64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tall.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for i := range buckets {
			b, err := tx.CreateBucket([]byte(fmt.Sprint("bucket", i)))
			for n := 0; n < records && err == nil; n++ {
				err = b.Put([]byte(fmt.Sprintf("%08d", n)), make([]byte, 900)) // few to a page
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	pageSize = int64(db.Info().PageSize)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if image, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	for at := 2 * pageSize; at < int64(len(image)); at += pageSize {
		page := image[at:]
		if id := binary.NativeEndian.Uint64(page); id == uint64(at/pageSize) && binary.NativeEndian.Uint16(page[8:]) == Leaf && binary.NativeEndian.Uint16(page[10:]) >= 2 &&
			binary.NativeEndian.Uint32(page[HeaderBytes:]) != BucketElement {
			leaves = append(leaves, id)
		}
	}
	if len(leaves) < records/4 {
		t.Fatalf("%d leaves", len(leaves))
	}
	return image, pageSize, leaves
}

// lacking is a file with a page that cannot be read.
type lacking struct {
	io.ReaderAt
	from, to int64
}

var errLacking = errors.New("input/output error")

func (f lacking) ReadAt(p []byte, at int64) (int, error) {
	if at < f.to && at+int64(len(p)) > f.from {
		return 0, errLacking
	}
	return f.ReaderAt.ReadAt(p, at)
}

// Pages are read many at a time, and one that fails costs the others nothing.
func TestOnlyAnUnreadablePageIsReported(t *testing.T) {
	const buckets, records = 2, 200
	image, size, leaves := tallFile(t, buckets, records)
	meta, ok := ReadMeta(bytes.NewReader(image), size)
	if !ok {
		t.Fatal("no meta page")
	}
	// walk returns the problems and how many pages were examined.
	walk := func(file io.ReaderAt) (problems []string, pages int) {
		w := walk{
			file: file, pageSize: size, limit: meta.Limit,
			report: func(p string) { problems = append(problems, p) },
		}
		if w.from(t.Context(), meta.Root) != (len(problems) == 0) {
			t.Errorf("problems %q do not make it unsound", problems)
		}
		for id := range meta.Limit {
			if w.seen.Has(id) {
				pages++
			}
		}
		return problems, pages
	}
	problems, all := walk(bytes.NewReader(image))
	if len(problems) > 0 || all <= records/4 {
		t.Fatalf("%d pages, problems %q", all, problems)
	}
	for _, id := range leaves {
		at := int64(id) * size
		problems, pages := walk(lacking{bytes.NewReader(image), at, at + size})
		if want := fmt.Sprintf("page %d: %v", id, errLacking); len(problems) != 1 || problems[0] != want || pages != all {
			t.Errorf("%d of %d pages, problems %q, want %q alone", pages, all, problems, want)
		}
	}
}
