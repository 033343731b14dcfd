package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// sealMeta gives the meta pages of an image correct checksums, as an attacker
// would.
func sealMeta(image []byte, pageSize int) {
	for at := pages.HeaderBytes; at < 2*pageSize && at+64 <= len(image); at += pageSize {
		sum := fnv.New64a()
		_, _ = sum.Write(image[at : at+56])
		binary.NativeEndian.PutUint64(image[at+56:], sum.Sum64())
	}
}

// largeAllocations runs f and returns the bytes of all allocations of more than
// some 18 KiB while it ran. The runtime counts smaller ones by their sizes.
func largeAllocations(f func()) uint64 {
	large := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		n := m.TotalAlloc
		for _, class := range m.BySize {
			n -= class.Mallocs * uint64(class.Size)
		}
		return n
	}
	before := large()
	f()
	return large() - before
}

// craftedImage is the image of a store with leaves, branches and free pages.
func craftedImage(t testing.TB) (image []byte, pageSize int) {
	s := openQuick(t, filepath.Join(t.TempDir(), "whole.db"), &Options{OverlayTransitions: 100})
	m := story(t, s, 150, 12)
	for i := range 300 {
		m.commit(t, s, m.large(t, fmt.Sprint("large", i), 250))
	}
	s.writeBackAll()
	return s.closedImage(t), int(s.pageSize)
}

// allocated has the bytes that each step of useCrafted allocates for a sound file.
type allocated map[string]uint64

// forSound returns the allocations of the steps for an unchanged image.
func forSound(t testing.TB, image []byte) allocated {
	path := filepath.Join(t.TempDir(), "sound.db")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	a := make(allocated)
	useCrafted(t, path, func(step string, n uint64) { a[step] = n })
	return a
}

// expect returns a check that no step allocates more for a crafted file than
// for a sound one plus the size of the file.
func (a allocated) expect(t testing.TB, size int) func(step string, n uint64) {
	return func(step string, n uint64) {
		if most := a[step] + uint64(size); n > most {
			t.Errorf("%s: %d bytes of large allocations for a file of %d, want at most %d", step, n, size, most)
		}
	}
}

// useCrafted makes every kind of call with a file, step by step. It fails if a
// step returns an error that does not mention damage.
func useCrafted(t testing.TB, path string, allocates func(step string, n uint64)) {
	t.Helper()
	ctx := context.Background()
	dir := filepath.Dir(path)
	step := func(name string, f func() error) {
		t.Helper()
		var err error
		allocates(name, largeAllocations(func() { err = f() }))
		switch {
		case err == nil, errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrIncompatible),
			errors.Is(err, store.ErrFailed), errors.Is(err, state.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		default:
			t.Errorf("%s: %v", name, err)
		}
	}
	var s *Store
	step("open", func() (err error) {
		s, err = Open(path, &Options{OverlayTransitions: 1, mapped: 1 << 20})
		return err
	})
	if s != nil {
		s.NoSync()
		s.db.AllocSize = 64 << 10
		step("list", func() error {
			_, err := s.List(ctx, store.ListQuery{Limit: 50})
			return err
		})
		step("load", func() error {
			_, err := s.Load(ctx, store.ByKey("2", "large7"))
			return err
		})
		step("commit", func() error {
			m := newModel()
			_, err := s.Commit(ctx, []store.Write{m.large(&testing.T{}, "one more", 200)})
			return err
		})
		step("compact", func() error { return s.CompactTo(ctx, filepath.Join(dir, "compacted")) })
		step("check", func() error { return s.Check(ctx, func(string) {}) })
		step("close", s.Close)
	}
	step("salvage", func() error {
		_, err := Salvage(ctx, path, filepath.Join(dir, "salvaged"), nil)
		return err
	})
}

// No allocation is larger than the file, whatever sizes the file claims.
func TestNoAllocationIsLargerThanAFileCanHold(t *testing.T) {
	image, pageSize := craftedImage(t)
	meta := func(at int, value uint64) func(image []byte) {
		return func(image []byte) {
			for page := range 2 {
				binary.NativeEndian.PutUint64(image[page*pageSize+pages.HeaderBytes+at:], value)
			}
		}
	}
	m, ok := pages.ReadMeta(bytes.NewReader(image), int64(pageSize))
	if !ok {
		t.Fatal("no meta page")
	}
	everyPage := func(flags uint16, alter func(page []byte)) func(image []byte) {
		return func(image []byte) {
			for at := 2 * pageSize; at < len(image); at += pageSize {
				if page := image[at : at+pageSize]; binary.NativeEndian.Uint16(page[8:]) == flags {
					alter(page)
				}
			}
		}
	}
	elementSize := func(page []byte) { page[pages.HeaderBytes+pages.ElementBytes+15] ^= 0x40 } // 1 GiB more
	sound := forSound(t, image)
	for name, alter := range map[string]func(image []byte){
		"as it is":              func([]byte) {},
		"a limit of 2^40 pages": meta(40, 1<<40),
		"a limit of 2^52 pages": meta(40, 1<<52),
		"pages of 2 GiB":        meta(8, 1<<31),
		"pages of 16 bytes":     meta(8, 16),
		"a root far away":       meta(16, 1<<50),
		"a free list of 2^34 pages": func(image []byte) {
			page := image[int(m.Freelist)*pageSize:]
			copy(page[10:12], "\xff\xff")
			binary.NativeEndian.PutUint64(page[pages.HeaderBytes:], 1<<34)
		},
		"a free list of 2^62 pages": func(image []byte) {
			page := image[int(m.Freelist)*pageSize:]
			copy(page[10:12], "\xff\xff")
			binary.NativeEndian.PutUint64(page[pages.HeaderBytes:], 1<<62)
		},
		"leaves with a value of 1 GiB":  everyPage(pages.Leaf, elementSize),
		"leaves of 65,535 elements":     everyPage(pages.Leaf, func(page []byte) { copy(page[10:], "\xff\xff") }),
		"leaves that continue far":      everyPage(pages.Leaf, func(page []byte) { copy(page[12:], "\xff\xff\x03\x00") }),
		"branches that continue far":    everyPage(pages.Branch, func(page []byte) { copy(page[12:], "\xff\xff\x03\x00") }),
		"branches of 65,535 elements":   everyPage(pages.Branch, func(page []byte) { copy(page[10:], "\xff\xff") }),
		"branches with a key of 1 GiB":  everyPage(pages.Branch, func(page []byte) { page[pages.HeaderBytes+7] ^= 0x40 }),
		"leaves with keys of 1 GiB":     everyPage(pages.Leaf, func(page []byte) { page[pages.HeaderBytes+11] ^= 0x40 }),
		"leaves that begin 1 GiB later": everyPage(pages.Leaf, func(page []byte) { page[pages.HeaderBytes+7] ^= 0x40 }),
	} {
		t.Run(name, func(t *testing.T) {
			altered := slices.Clone(image)
			alter(altered)
			sealMeta(altered, pageSize)
			path := filepath.Join(t.TempDir(), "crafted.db")
			if err := os.WriteFile(path, altered, 0o600); err != nil {
				t.Fatal(err)
			}
			useCrafted(t, path, sound.expect(t, len(altered)))
		})
		t.Run(name+", and holes behind", func(t *testing.T) {
			altered := slices.Clone(image)
			alter(altered)
			sealMeta(altered, pageSize)
			path := filepath.Join(t.TempDir(), "crafted.db")
			if err := errors.Join(os.WriteFile(path, altered, 0o600), os.Truncate(path, 1<<31)); err != nil {
				t.Fatal(err)
			}
			useCrafted(t, path, sound.expect(t, len(altered)))
		})
	}
}

func FuzzCraftedFile(f *testing.F) {
	image, pageSize := craftedImage(f)
	sound := forSound(f, image)
	for i := range 30 {
		f.Add([]byte{byte(i), 0, byte(i % 5 * 4), 0xff, 0x40})
		f.Add([]byte{byte(i), 0, 31, 0x40, 0, byte(i), 0, 12, 0xff, 0xff})
	}
	f.Fuzz(func(t *testing.T, edits []byte) {
		altered := slices.Clone(image)
		for ; len(edits) >= 5; edits = edits[5:] { // page, place, two bytes
			at := int(edits[0])*pageSize + (int(edits[1])<<8|int(edits[2]))%pageSize
			altered[at%len(altered)], altered[(at+1)%len(altered)] = edits[3], edits[4]
		}
		sealMeta(altered, pageSize)
		path := filepath.Join(t.TempDir(), "crafted.db")
		if err := os.WriteFile(path, altered, 0o600); err != nil {
			t.Fatal(err)
		}
		useCrafted(t, path, sound.expect(t, len(altered)))
	})
}
