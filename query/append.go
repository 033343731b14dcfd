package query

import (
	"context"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/state"
)

// AppendJSON appends the documented response for a task or node, as
// [Query.Response] marshals it, without building a [Status]: it allocates
// nothing for each node.
func (q *Query) AppendJSON(ctx context.Context, dst []byte, business, task string) ([]byte, error) {
	snap, err := q.Snapshot(ctx, business, task)
	if message, ok := refusal(err); ok {
		return appendRefusal(dst, message), nil
	}
	if err != nil {
		return dst, err
	}
	return append(q.AppendTree(append(dst, beforeData...), snap.Tree, snap.Index), '}'), nil
}

const beforeData = `{"result":true,"data":`

func appendRefusal(dst []byte, message string) []byte {
	return append(appendString(append(dst, `{"result":false,"message":`...), message), '}')
}

// AppendTree appends the status of a node of a tree, by index, and all below
// it: the data of the documented response.
func (q *Query) AppendTree(dst []byte, tree *state.Tree, node int) []byte {
	dst, _ = q.StreamTree(dst, tree, node, nil)
	return dst
}

// StreamTree is [Query.AppendTree] for answers too long to hold in memory. After
// each node, and each text of ex_data, it passes the buffer to spill, which returns
// the buffer to append to next, usually empty. An error of spill ends the call and
// is returned. A nil spill keeps everything in the buffer.
func (q *Query) StreamTree(dst []byte, tree *state.Tree, node int, spill func([]byte) ([]byte, error)) ([]byte, error) {
	r := q.renderer(tree, node)
	defer r.release()
	r.spill = spill
	if r.fields&FieldElapsedTime != 0 {
		r.now = state.InstantOf(q.opts.Now())
	}
	// Down to the first child, on to the next sibling, up to the container:
	// no recursion, so that depth costs no stack.
	for i, n := node, tree.View(node); ; {
		dst = r.open(dst, n)
		if c := n.FirstChild(); c >= 0 {
			i, n = c, tree.View(c)
			dst = appendKey(dst, r.nodeID(r.tree, n))
			continue
		}
		for {
			dst = r.emit(r.close(dst, i, n))
			if i == node || r.err != nil {
				return dst, r.err
			}
			if next := n.NextSibling(); next >= 0 {
				i, n = next, tree.View(next)
				dst = appendKey(append(dst, ','), r.nodeID(r.tree, n))
				break
			}
			i = n.Parent()
			n = tree.View(i)
		}
	}
}

// renderer holds the state of writing one answer.
type renderer struct {
	*Query
	tree        *state.Tree
	root        int // the answered node
	fields      Fields
	face        clockFace
	failedFirst []state.State // by index, if that is the convention
	now         state.Instant
	after       []string                     // room for edges
	spill       func([]byte) ([]byte, error) // nil: everything is kept
	err         error                        // of spill
}

var renderers = sync.Pool{New: func() any { return new(renderer) }}

func (q *Query) renderer(tree *state.Tree, root int) *renderer {
	r := renderers.Get().(*renderer)
	r.Query, r.tree, r.root, r.fields = q, tree, root, q.opts.Fields
	if r.face.loc != q.opts.Location {
		r.face = clockFace{loc: q.opts.Location}
	}
	if q.opts.FailedFirst {
		r.failedFirst = tree.ShownFailedFirst(r.failedFirst)
	}
	return r
}

// release drops everything of the caller's except the location, and large buffers.
func (r *renderer) release() {
	r.Query, r.tree, r.spill, r.err, r.after = nil, nil, nil, nil, nil
	if cap(r.failedFirst) > maxPooled {
		r.failedFirst = nil
	}
	renderers.Put(r)
}

const maxPooled = 16 << 10

func (r *renderer) shown(i int) state.State { return r.shownBy(i, r.tree.View(i)) }

// shownBy is shown for a view of the node that the caller has already.
func (r *renderer) shownBy(i int, n state.NodeView) state.State {
	if r.opts.FailedFirst {
		return r.failedFirst[i]
	}
	return n.Shown()
}

// NodeID is the name of a node of a tree, by index, in answers: its ID, or its key
// if [Options].Keys is set.
func (q *Query) NodeID(tree *state.Tree, node int) string { return q.nodeID(tree, tree.View(node)) }

func (q *Query) nodeID(tree *state.Tree, n state.NodeView) string {
	if q.opts.Keys {
		if key := n.Key(); key != "" {
			if _, taken := tree.Find(key); !taken {
				return key
			}
		}
	}
	return n.ID()
}

// id is the name of node i in the answer.
func (r *renderer) id(i int) string { return r.NodeID(r.tree, i) }

// open appends a node up to where its children begin.
func (r *renderer) open(dst []byte, n state.NodeView) []byte {
	dst = appendHead(dst, n.Retry(), n.DisplayName())
	dst = r.face.append(dst, n.Finished())
	dst = appendMiddle(dst, n.Skipped())
	dst = r.face.append(dst, n.Started())
	return append(dst, `","children":{`...)
}

// close appends the rest of node i.
func (r *renderer) close(dst []byte, i int, n state.NodeView) []byte {
	dst = appendTail(dst, r.shownBy(i, n))
	dst, _ = n.Version().AppendText(dst)
	dst = appendEnd(dst, r.nodeID(r.tree, n), n.Loop())
	if r.fields != 0 {
		dst = r.appendFields(dst, i)
	}
	return append(dst, '}')
}

// emit spills what there is. After an error nothing more is kept.
func (r *renderer) emit(dst []byte) []byte {
	if r.err != nil {
		return dst[:0]
	}
	if r.spill != nil {
		dst, r.err = r.spill(dst)
	}
	return dst
}

// The parts of a node. Each ends before a value whose form depends on the
// caller.

func appendKey(dst []byte, id string) []byte { return append(appendString(dst, id), ':') }

func appendHead(dst []byte, retry int, name string) []byte {
	dst = strconv.AppendInt(append(dst, `{"retry":`...), int64(retry), 10)
	dst = appendString(append(dst, `,"name":`...), name)
	return append(dst, `,"finish_time":"`...)
}

func appendMiddle(dst []byte, skip bool) []byte {
	dst = strconv.AppendBool(append(dst, `","skip":`...), skip)
	return append(dst, `,"start_time":"`...)
}

func appendTail(dst []byte, shown state.State) []byte {
	dst = append(append(dst, `},"state":"`...), stateName(shown)...)
	return append(dst, `","version":"`...)
}

// stateName is the documented value, "" for none, which answers of other servers
// can contain.
func stateName(st state.State) string {
	if !st.Valid() {
		return ""
	}
	return st.String()
}

func appendEnd(dst []byte, id string, loop int) []byte {
	dst = appendString(append(dst, `","id":`...), id)
	return strconv.AppendInt(append(dst, `,"loop":`...), int64(loop), 10)
}

// appendString appends s as a JSON string, as encoding/json does without its
// HTML escapes: <, > and & are written as they are, U+2028 and U+2029 are
// escaped, and invalid UTF-8 becomes an escaped U+FFFD.
func appendString(dst []byte, s string) []byte {
	return append(appendInside(append(dst, '"'), s), '"')
}

// appendInside is appendString without the quotes.
func appendInside(dst []byte, s string) []byte {
	if isPlain(s) {
		return append(dst, s...)
	}
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		size, escape := 1, ""
		if c >= utf8.RuneSelf {
			var r rune
			switch r, size = utf8.DecodeRuneInString(s[i:]); {
			case r == utf8.RuneError && size == 1:
				escape = `\ufffd`
			case r == '\u2028':
				escape = `\u2028`
			case r == '\u2029':
				escape = `\u2029`
			default:
				i += size
				continue
			}
		}
		dst = append(dst, s[from:i]...)
		i += size
		from = i
		if escape != "" {
			dst = append(dst, escape...)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return append(dst, s[from:]...)
}

// isPlain reports whether all bytes of s need no escape. It tests eight bytes at a
// time: byte by byte, the two IDs and the name were a third of the cost of a
// node.
func isPlain(s string) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		// The high bit of a byte is set if it was set before, or if the byte is
		// less than the subtrahend. Bytes after such a byte are undecided.
		if (w|(w-' '*each)|((w^'"'*each)-each)|((w^'\\'*each)-each))&high != 0 {
			return false
		}
	}
	for i := range len(s) {
		if !plain[s[i]] {
			return false
		}
	}
	return true
}

// plain holds the bytes that need no escape.
var plain = func() (table [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
