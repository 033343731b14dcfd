package boltstore

// pageSet is a set of page numbers. It takes as much memory as there are
// members, not as much as the largest one needs: a file with holes may claim any
// number of pages. The zero pageSet is empty.
type pageSet struct {
	chunks map[uint64]*pageChunk
	// The chunk used last, since pages are often looked at in their order.
	at   uint64
	last *pageChunk
}

// chunkPages is how many pages a chunk has a bit for.
const chunkPages = 1 << 15

type pageChunk [chunkPages / 64]uint64

// chunk returns the chunk that has a page's bit, nil if no page of it is in the
// set.
func (s *pageSet) chunk(id uint64) *pageChunk {
	if at := id / chunkPages; s.last == nil || s.at != at {
		s.at, s.last = at, s.chunks[at]
	}
	return s.last
}

func (s *pageSet) has(id uint64) bool {
	c := s.chunk(id)
	return c != nil && c[id%chunkPages/64]&(1<<(id%64)) != 0
}

// add adds a page and reports whether it was there.
func (s *pageSet) add(id uint64) (was bool) {
	c := s.chunk(id)
	if c == nil {
		if s.chunks == nil {
			s.chunks = make(map[uint64]*pageChunk)
		}
		c = new(pageChunk)
		s.chunks[id/chunkPages], s.last = c, c
	}
	word, bit := &c[id%chunkPages/64], uint64(1)<<(id%64)
	was = *word&bit != 0
	*word |= bit
	return was
}

// remove takes a page out.
func (s *pageSet) remove(id uint64) {
	if c := s.chunk(id); c != nil {
		c[id%chunkPages/64] &^= 1 << (id % 64)
	}
}
