package pages

// Set is a set of page numbers. Its memory depends on the number of members,
// not on the largest one, since a file with holes may claim any number of
// pages. The zero Set is empty.
type Set struct {
	chunks map[uint64]*chunk
	// The chunk used last, since pages are often examined in their order.
	at   uint64
	last *chunk
}

// chunkPages is the number of pages of a chunk.
const chunkPages = 1 << 15

type chunk [chunkPages / 64]uint64

// chunk returns the chunk with a page's bit, nil if the set has no page of the
// chunk.
func (s *Set) chunk(id uint64) *chunk {
	if at := id / chunkPages; s.last == nil || s.at != at {
		s.at, s.last = at, s.chunks[at]
	}
	return s.last
}

// Has reports whether a page is in the set.
func (s *Set) Has(id uint64) bool {
	c := s.chunk(id)
	return c != nil && c[id%chunkPages/64]&(1<<(id%64)) != 0
}

// Add adds a page and reports whether it was already a member.
func (s *Set) Add(id uint64) (was bool) {
	c := s.chunk(id)
	if c == nil {
		if s.chunks == nil {
			s.chunks = make(map[uint64]*chunk)
		}
		c = new(chunk)
		s.chunks[id/chunkPages], s.last = c, c
	}
	word, bit := &c[id%chunkPages/64], uint64(1)<<(id%64)
	was = *word&bit != 0
	*word |= bit
	return was
}

// Remove removes a page.
func (s *Set) Remove(id uint64) {
	if c := s.chunk(id); c != nil {
		c[id%chunkPages/64] &^= 1 << (id % 64)
	}
}
