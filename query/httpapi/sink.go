package httpapi

import (
	"strings"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
)

// pieceBytes is how much of an answer is collected before it is sent.
const pieceBytes = 64 << 10

// sink takes an answer bit by bit and hands it on in pieces. After an error it
// takes nothing more.
type sink struct {
	buf   []byte
	comma bool                     // the next element needs one before it
	spill func(piece []byte) error // keeps nothing of piece
	err   error
}

// text adds JSON unchanged.
func (s *sink) text(json string) {
	s.buf = append(s.buf, json...)
	s.comma = !strings.HasSuffix(json, "[") && !strings.HasSuffix(json, "{")
	s.check()
}

// value adds a value that marshals without error.
func (s *sink) value(v any) {
	s.buf = appendJSON(s.buf, v)
	s.check()
}

// field adds JSON unchanged, and a value.
func (s *sink) field(json string, v any) {
	s.buf = append(s.buf, json...)
	s.value(v)
}

// element adds a value, and a comma before it unless it is the first after the text
// that opens its list or object.
func (s *sink) element(v any) {
	if s.comma {
		s.buf = append(s.buf, ',')
	}
	s.comma = true
	s.value(v)
}

// tree adds the status of a node and all below it.
func (s *sink) tree(q *query.Query, tree *state.Tree, node int) {
	s.open(q, tree, node)
	s.text("}")
}

// open is tree without the last brace, for more fields.
func (s *sink) open(q *query.Query, tree *state.Tree, node int) {
	if s.err != nil {
		return
	}
	s.buf, s.err = q.StreamTree(s.buf, tree, node, func(dst []byte) ([]byte, error) {
		// The last byte is kept back: it may be the last brace.
		if last := len(dst) - 1; last >= pieceBytes {
			err := s.spill(dst[:last])
			dst = append(dst[:0], dst[last])
			return dst, err
		}
		return dst, nil
	})
	if s.err == nil {
		s.buf = s.buf[:len(s.buf)-1]
	}
}

// check passes the buffer on once it is large enough for a piece.
func (s *sink) check() {
	if s.err != nil {
		s.buf = s.buf[:0]
		return
	}
	if len(s.buf) >= pieceBytes {
		s.flush()
	}
}

func (s *sink) flush() {
	if s.err == nil {
		s.err = s.spill(s.buf)
	}
	s.buf = s.buf[:0]
}
