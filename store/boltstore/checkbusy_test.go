package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// Check examines one moment of the store, even during writes.
func TestCheckReportsNothingInASoundStoreInUse(t *testing.T) {
	dir := t.TempDir()
	s := openQuick(t, filepath.Join(dir, "busy.db"), &Options{OverlayTransitions: 40})
	var acked sync.Map
	var writers, others sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		writers.Go(func() { keepWriting(t, s, fmt.Sprint("w", w), stop, &acked) })
	}
	const rounds = 8
	for _, work := range []func(i int) error{
		func(int) error {
			return s.Check(t.Context(), func(p string) { t.Errorf("check: %s", p) })
		},
		func(int) error { return s.Backup(t.Context(), io.Discard) },
		func(i int) error { return s.BackupTo(t.Context(), filepath.Join(dir, fmt.Sprint("backup", i))) },
		func(i int) error { return s.CompactTo(t.Context(), filepath.Join(dir, fmt.Sprint("compacted", i))) },
		func(int) error { return s.Compact(t.Context()) },
	} {
		others.Go(func() {
			for i := range rounds {
				if err := work(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	others.Wait()
	close(stop)
	writers.Wait()
	for _, name := range []string{"backup", "compacted"} {
		copied := openQuick(t, filepath.Join(dir, fmt.Sprint(name, rounds-1)), nil)
		if err := copied.Check(t.Context(), func(p string) { t.Errorf("%s: %s", name, p) }); err != nil {
			t.Error(err)
		}
	}
}

// Such damage affects no reader yet: a lost page, and keys on the wrong page.
func TestCheckFindsLostPagesAndKeysOnTheWrongPage(t *testing.T) {
	image, size, levels := tallFile(t, nodesBucket)
	meta, ok := pages.ReadMeta(bytes.NewReader(image), int64(size))
	if !ok {
		t.Fatal("no meta page")
	}
	freePages(t, image, &meta)
	lost := bytes.Clone(image)
	count := lost[int(meta.Freelist)*size+10:]
	binary.NativeEndian.PutUint16(count, binary.NativeEndian.Uint16(count)-1)

	swapped := bytes.Clone(image)
	branches := levels[len(levels)-2]
	elements := swapped[int(branches[0])*size+pages.HeaderBytes:]
	first, second := binary.NativeEndian.Uint64(elements[8:]), binary.NativeEndian.Uint64(elements[pages.ElementBytes+8:])
	binary.NativeEndian.PutUint64(elements[8:], second)
	binary.NativeEndian.PutUint64(elements[pages.ElementBytes+8:], first)

	for _, test := range []struct {
		name, want string
		image      []byte
	}{
		{"a page that is neither in use nor free", "no page leads to", lost},
		{"two pages in each other's place", "out of order", swapped},
	} {
		var problems []string
		err := openImage(t, test.image, nil).Check(t.Context(), func(p string) { problems = append(problems, p) })
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, test.want) }) {
			t.Errorf("%s: check reports %q and %v, want %q", test.name, problems, err, test.want)
		}
	}
}
