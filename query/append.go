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
	return append(q.AppendTree(append(dst, beforeData...), snap.Tree, snap.Node), '}'), nil
}

const beforeData = `{"result":true,"data":`

func appendRefusal(dst []byte, message string) []byte {
	return append(appendString(append(dst, `{"result":false,"message":`...), message), '}')
}

// AppendTree appends the status of a node of a tree, by index, and all below
// it: the data of the documented response.
func (q *Query) AppendTree(dst []byte, tree *state.Tree, node int) []byte {
	r := q.renderer(tree, node)
	defer r.release()
	// Down to the first child, on to the next sibling, up to the container:
	// no recursion, so that depth costs no stack.
	for i := node; ; {
		n := tree.Node(i)
		dst = r.open(dst, &n)
		if c := tree.FirstChild(i); c >= 0 {
			i = c
			dst = r.key(dst, i)
			continue
		}
		for {
			if n.Index != i {
				n = tree.Node(i)
			}
			dst = r.close(dst, &n)
			if i == node {
				return dst
			}
			if next := tree.NextSibling(i); next >= 0 {
				i = next
				dst = r.key(append(dst, ','), i)
				break
			}
			i = tree.Parent(i)
		}
	}
}

// renderer is what one answer is made with.
type renderer struct {
	*Query
	tree        *state.Tree
	root        int // the answered node
	fields      Fields
	face        clockFace
	failedFirst []state.State // by index, if that is the convention
	now         state.Instant
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
	if r.fields&ElapsedTime != 0 {
		r.now = state.InstantOf(q.opts.Now())
	}
	return r
}

// release keeps nothing of the caller's but the location, and no large buffer.
func (r *renderer) release() {
	r.Query, r.tree = nil, nil
	if cap(r.failedFirst) > maxPooled {
		r.failedFirst = nil
	}
	renderers.Put(r)
}

const maxPooled = 16 << 10

func (r *renderer) shown(i int) state.State {
	if r.opts.FailedFirst {
		return r.failedFirst[i]
	}
	return r.tree.Shown(i)
}

func (r *renderer) key(dst []byte, i int) []byte {
	return append(appendString(dst, r.tree.ID(i)), ':')
}

// open appends a node up to where its children begin.
func (r *renderer) open(dst []byte, n *state.Node) []byte {
	dst = appendHead(dst, n.Retry(), n.DisplayName())
	dst = r.face.append(dst, n.Finished)
	dst = appendMiddle(dst, n.Skipped)
	dst = r.face.append(dst, n.Started)
	return append(dst, `","children":{`...)
}

// close appends the rest.
func (r *renderer) close(dst []byte, n *state.Node) []byte {
	dst = appendTail(dst, r.shown(n.Index))
	dst, _ = n.Version.AppendText(dst)
	dst = appendEnd(dst, n.ID, n.Loop)
	if r.fields != 0 {
		extra := r.extra(n.Index, n)
		dst = extra.append(dst)
	}
	return append(dst, '}')
}

// The parts of a node, each up to the next value that callers have in
// different forms.

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
	dst = append(dst, `},"state":"`...)
	if shown.Valid() {
		dst = append(dst, shown.String()...)
	}
	return append(dst, `","version":"`...)
}

func appendEnd(dst []byte, id string, loop int) []byte {
	dst = appendString(append(dst, `","id":`...), id)
	return strconv.AppendInt(append(dst, `,"loop":`...), int64(loop), 10)
}

// appendString appends s as a JSON string, as encoding/json does without its
// HTML escapes: <, > and & are written as they are, U+2028 and U+2029 are
// escaped, and what is not UTF-8 becomes an escaped U+FFFD.
func appendString(dst []byte, s string) []byte {
	return append(appendInside(append(dst, '"'), s), '"')
}

// appendInside is appendString without the quotes.
func appendInside(dst []byte, s string) []byte {
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

// plain holds the bytes that stand for themselves.
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
