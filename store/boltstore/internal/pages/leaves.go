package pages

import (
	"bytes"
	"fmt"
	"io"
)

// KeyRange is the range of keys of a leaf, from low to before high; a nil high
// is after all keys. The zero KeyRange is empty.
type KeyRange struct {
	low, high []byte
	known     bool
	deletes   bool // the neighbors of the leaf are sound too
}

// AllKeys is the range of a bucket that is part of a leaf of the root.
func AllKeys() KeyRange { return KeyRange{known: true, deletes: true} }

// Allows reports whether a key in the range may be changed or, if deletes is
// true, deleted.
func (r *KeyRange) Allows(key []byte, deletes bool) bool {
	return r.known && bytes.Compare(key, r.low) >= 0 && (r.high == nil || bytes.Compare(key, r.high) < 0) && (r.deletes || !deletes)
}

// Leaves examines leaves before they change. A leaf that was sound stays sound,
// since only bbolt writes to the file.
type Leaves struct {
	file     io.ReaderAt
	pageSize int64
	sound    Set
	page     []byte // reused for each page
	seen     Set
}

// LeavesOf returns the Leaves of a file, none of which has been examined.
func LeavesOf(file io.ReaderAt, pageSize int64) Leaves { return Leaves{file: file, pageSize: pageSize} }

// Examine examines the leaf of a key, or the leaf where the key would be
// inserted, below a root, in a file of size bytes, and returns the leaf's keys.
// A deletion may merge a leaf with a neighbor under the same branch, so Examine
// then examines the neighbors as well.
func (l *Leaves) Examine(root uint64, size int64, key []byte, deletes bool) (KeyRange, error) {
	if l.page == nil {
		l.page = make([]byte, l.pageSize)
	}
	d := descent{file: l.file, pageSize: l.pageSize, limit: uint64(size / l.pageSize), sound: &l.sound, page: l.page, seen: &l.seen}
	return d.to(root, key, deletes)
}

// descent is a path from the root of a bucket to a leaf.
type descent struct {
	file     io.ReaderAt
	pageSize int64
	limit    uint64
	sound    *Set
	page     []byte
	seen     *Set // empty before and after each leaf
}

// to descends to the leaf of a key, examines it, and returns the leaf's keys.
func (d *descent) to(id uint64, key []byte, deletes bool) (r KeyRange, err error) {
	var next []uint64 // the neighbors of the leaf
	for range maxHeight {
		p, err := d.read(id)
		if err != nil {
			return r, err
		}
		if p.Flags() != Branch {
			for _, id := range append(next, id) {
				if err := d.examine(id); err != nil {
					return r, err
				}
			}
			r.known, r.deletes = true, deletes
			return r, nil
		}
		if p.Count() == 0 || p.Count() > p.Room() {
			return r, fmt.Errorf("page %d: has %d elements in %d bytes", id, p.Count(), p.size)
		}
		if id, next, err = d.child(&p, key, &r, deletes); err != nil {
			return r, err
		}
	}
	return r, fmt.Errorf("page %d: is deeper than %d pages", id, maxHeight)
}

// child returns the page below a branch that has a key and, if asked for, its
// neighbors, and narrows the range to the page's keys.
func (d *descent) child(p *Run, key []byte, r *KeyRange, neighbors bool) (id uint64, next []uint64, err error) {
	keyAt := func(i int) ([]byte, error) {
		e := p.Element(i)
		if e.Behind > uint64(p.size) || e.Value-e.Key > maxKey {
			return nil, fmt.Errorf("a branch's element %d is outside of it", i)
		}
		return p.Part(e.Key, e.Value)
	}
	at, behind := 0, p.Count() // at becomes the last element whose key is not greater
	for at+1 < behind {
		middle := (at + behind) / 2
		k, err := keyAt(middle)
		if err != nil {
			return 0, nil, err
		}
		if bytes.Compare(k, key) <= 0 {
			at = middle
		} else {
			behind = middle
		}
	}
	if at > 0 { // the first page also has all lower keys
		k, err := keyAt(at)
		if err != nil {
			return 0, nil, err
		}
		r.low = bytes.Clone(k)
	}
	if behind < p.Count() {
		k, err := keyAt(behind)
		if err != nil {
			return 0, nil, err
		}
		r.high = bytes.Clone(k)
	}
	if neighbors && at > 0 {
		next = append(next, p.Element(at-1).Child)
	}
	if neighbors && behind < p.Count() {
		next = append(next, p.Element(behind).Child)
	}
	return p.Element(at).Child, next, nil
}

func (d *descent) read(id uint64) (Run, error) {
	p, err := readInto(d.page, d.file, id, d.limit)
	if err != nil {
		err = fmt.Errorf("page %d: %w", id, err)
	}
	return p, err
}

// examine examines a leaf, unless it is known to be sound.
func (d *descent) examine(id uint64) error {
	if id < d.limit && d.sound.Has(id) {
		return nil
	}
	p, err := d.read(id)
	if err != nil {
		return err
	}
	if p.Flags() != Leaf {
		return fmt.Errorf("page %d: has flags %#x where a leaf should be", id, p.Flags())
	}
	problem := ""
	w := walk{
		file: d.file, pageSize: d.pageSize, limit: d.limit,
		report: func(p string) { problem = p }, seen: *d.seen,
	}
	w.page(&fetched{pageAt: pageAt{id: id}, data: d.page})
	if problem != "" {
		return fmt.Errorf("%s", problem)
	}
	*d.seen = w.seen
	for i := range uint64(p.size / d.pageSize) {
		d.seen.Remove(id + i)
	}
	d.sound.Add(id)
	return nil
}
