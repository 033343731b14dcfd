package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// The nodes bucket has the nodes of a task in groups: nodes with neighboring
// indexes share a record, whose key has the index of the first one. The record
// of the root begins with a copy of the task's header, so that reading a task
// needs no other record.
//
// A snapshot of one task of 20 nodes among many mostly waits for memory: a
// descent in a tree of pages misses the processor's caches about ten times.
// These layouts were measured in one program, with random tasks, including JSON
// (medians of five rounds). The factors compare the time for a task among many
// with that among 1,000 tasks. Bytes are those of nodes and headers for each
// node.
//
//	                                     100,000 tasks  1,000,000 tasks  bytes
//	                                     against 1,000    against 1,000
//	tasks, a record for each node               0.83 ×           0.82 ×     97
//	header and nodes in one bucket              0.89 ×           0.89 ×     97
//	tasks, groups of 8                          0.82 ×                      68
//	tasks, groups of 20                         0.80 ×                      75
//	groups of 8, the first with the header      0.89 ×           0.87 ×     75
//	groups of 20, with the header               0.91 ×           0.81 ×     75
//	groups of 20 under the task's key           0.85 ×                     110
//
// One bucket for headers and nodes makes lists slower, since the headers are
// then on as many pages as there are tasks. Groups under the task's key have
// the fewest descents, but tasks of the same time are far apart, and each
// commit dirties more pages. Of the rest, groups of 8 were the fastest with a
// million tasks, and they fill pages better than larger groups, even with long
// names and error texts.
const (
	// groupNodes is the number of nodes in a full group. Groups begin at
	// multiples of it. After damage to one of its nodes, the later nodes of a
	// group get a record of their own.
	groupNodes = 8
	// groupVersion begins the record of a group. Up to schema 3 every node had a
	// separate record, which begins with recordVersion or placedVersion.
	groupVersion = 3
)

// group is a record of the nodes bucket. decodeNode reads the bytes of each
// node.
type group struct {
	first  int
	header []byte // of the task, nil if the record has none
	rest   []byte // the nodes, each with its length, that next has not returned yet
	alone  bool   // rest is one node without its length
}

// decodeGroup reads a record of the nodes bucket, or one of schema 3 and below.
func decodeGroup(k, v []byte) (g group, err error) {
	d := unsealed(k, v)
	if len(k) != nodeKeyBytes {
		d.fail()
		return g, d.end("nodes")
	}
	g.first = int(binary.BigEndian.Uint32(k[8:]))
	if d.left() == 0 {
		d.fail()
		return g, d.end("nodes")
	}
	if g.alone = d.b[0] <= placedVersion; g.alone {
		g.rest = d.b
		return g, nil
	}
	d.known(d.byte(), groupVersion)
	if g.first == 0 {
		g.header = d.bytes(d.int(maxInt))
	}
	if g.rest = d.rest(); len(g.rest) == 0 {
		d.fail()
	}
	d.at = len(d.b)
	return g, d.end("nodes")
}

// next returns the bytes of the group's next node; ok is false at its end.
func (g *group) next() (node []byte, ok bool, err error) {
	if len(g.rest) == 0 {
		return nil, false, nil
	}
	if g.alone {
		node, g.rest = g.rest, nil
		return node, true, nil
	}
	d := decoder{b: g.rest}
	node = d.bytes(d.int(maxInt))
	if g.rest = d.rest(); d.bad || len(node) == 0 {
		d.fail()
		return nil, false, d.end("nodes")
	}
	return node, true, nil
}

// task reads the copy of the task's header.
func (g *group) task(number uint64) (store.Task, error) {
	d := decoder{b: g.header}
	return d.task(number)
}

// eachNode calls f for all nodes of a record.
func eachNode(k, v []byte, f func(index int, node []byte) error) error {
	g, err := decodeGroup(k, v)
	if err != nil {
		return err
	}
	for i := g.first; ; i++ {
		node, ok, err := g.next()
		if err != nil || !ok {
			return err
		}
		if err := f(i, node); err != nil {
			return err
		}
	}
}

// checkGroup checks that every part of a record is readable.
func checkGroup(k, v []byte) error {
	g, err := decodeGroup(k, v)
	if err == nil && g.header != nil {
		_, err = g.task(seqOf(k[:8]))
	}
	if err != nil {
		return err
	}
	return eachNode(k, v, func(_ int, node []byte) error { return decodeNode(node, new(state.Node)) })
}

// nodeReader reads the nodes of one task in the file, in their order.
type nodeReader struct {
	c      *bolt.Cursor
	prefix []byte
	k, v   []byte // the next record
	group  group  // the current one
	next   int    // index of its next node
	ids    texts
}

func newNodeReader(tx *bolt.Tx, number uint64) *nodeReader {
	r := &nodeReader{c: nodesBucket.in(tx).Cursor(), prefix: seqKey(number)}
	r.k, r.v = r.c.Seek(r.prefix)
	return r
}

// task returns the copy of the header. If found is false there is no readable
// copy, and the caller reads the tasks bucket.
func (r *nodeReader) task() (t store.Task, found bool) {
	if !bytes.HasPrefix(r.k, r.prefix) || r.advance() != nil || r.group.header == nil {
		return t, false
	}
	t, err := r.group.task(seqOf(r.prefix))
	return t, err == nil
}

// advance moves to the next record.
func (r *nodeReader) advance() (err error) {
	if r.group, err = decodeGroup(r.k, r.v); err != nil {
		return err
	}
	r.next = r.group.first
	r.k, r.v = r.c.Next()
	return nil
}

// read reads the node with an index, if the file has it. Indexes must ascend from
// 0, without a gap.
func (r *nodeReader) read(index int, n *state.Node) (found bool, err error) {
	if len(r.group.rest) == 0 {
		if !bytes.HasPrefix(r.k, r.prefix) {
			return false, nil
		}
		if err := r.advance(); err != nil {
			return false, err
		}
	}
	if r.next != index {
		return false, nil
	}
	node, _, err := r.group.next()
	if err == nil {
		err = r.ids.decodeNode(node, n)
	}
	n.Index, r.next = index, r.next+1
	return err == nil, err
}

// nodeIn returns the bytes of one node in a transaction, nil if it has no such
// node.
func nodeIn(tx *bolt.Tx, number uint64, index int) ([]byte, error) {
	k, v := before(nodesBucket.in(tx).Cursor(), nodeKey(number, index+1))
	if !bytes.HasPrefix(k, seqKey(number)) {
		return nil, nil
	}
	g, err := decodeGroup(k, v)
	for i := g.first; err == nil; i++ {
		var node []byte
		var ok bool
		if node, ok, err = g.next(); err != nil || !ok || i == index {
			return node, err
		}
	}
	return nil, err
}

// readNode reads a node. A missing one is an error.
func readNode(tx *bolt.Tx, number uint64, index int, n *state.Node) error {
	node, err := nodeIn(tx, number, index)
	if err == nil && node == nil {
		err = fmt.Errorf("%w: task %d has no node %d", store.ErrCorrupt, number, index)
	}
	if err != nil {
		return err
	}
	n.Index = index
	return decodeNode(node, n)
}

// appendGroup appends a record of nodes. header is the task's header for the
// record with the root, otherwise nil.
func appendGroup(dst, header []byte, nodes [][]byte) []byte {
	dst = append(dst, groupVersion)
	if header != nil {
		dst = append(binary.AppendUvarint(dst, uint64(len(header))), header...)
	}
	for _, node := range nodes {
		dst = append(binary.AppendUvarint(dst, uint64(len(node))), node...)
	}
	return dst
}

// regrouper prepares the records of a task's nodes.
type regrouper struct {
	pass   *pass
	c      *bolt.Cursor
	number uint64
	header []byte // of the task

	first    int // of the group at work
	nodes    [groupNodes][]byte
	stale    [][]byte // keys of the records that the new ones replace
	room     []byte   // memory for changed nodes
	key, end []byte   // of a record, and behind its group
}

// regroup begins with another task.
func (p *pass) regroup(tx *bolt.Tx, number uint64, header []byte) *regrouper {
	r := &p.groups
	r.pass, r.c, r.number, r.header = p, p.cursor(tx, nodesBucket), number, header
	return r
}

// read begins a group with the file's nodes of it, and reports whether there
// are any. Unreadable records stay.
func (r *regrouper) read(first int) (found bool) {
	r.first, r.stale = first, r.stale[:0]
	clear(r.nodes[:])
	r.key, r.end = appendNodeKey(r.key[:0], r.number, first), appendNodeKey(r.end[:0], r.number, first+groupNodes)
	prefix := r.key[:8]
	for k, v := r.c.Seek(r.key); bytes.HasPrefix(k, prefix) && bytes.Compare(k, r.end) < 0; k, v = r.c.Next() {
		err := eachNode(k, v, func(index int, node []byte) error {
			if index >= first+groupNodes {
				return store.ErrCorrupt
			}
			r.nodes[index-first] = node
			return nil
		})
		if err == nil {
			r.stale = append(r.stale, k)
		}
		found = true
	}
	return found
}

// set puts a changed node into the group.
func (r *regrouper) set(n *state.Node) {
	from := len(r.room)
	r.room = appendNode(r.room, n)
	r.nodes[n.Index-r.first] = r.room[from:len(r.room):len(r.room)]
}

// write prepares the group's record, or several if nodes between are missing,
// and the removal of the replaced ones.
func (r *regrouper) write() {
	for at := 0; at < groupNodes; at++ {
		if r.nodes[at] == nil {
			continue
		}
		from := at
		r.key = appendNodeKey(r.key[:0], r.number, r.first+at)
		var header []byte
		if r.first+at == 0 {
			header = r.header
		}
		for at < groupNodes && r.nodes[at] != nil {
			at++
		}
		r.pass.record = appendGroup(r.pass.record[:0], header, r.nodes[from:at])
		r.pass.putSealed(nodesBucket, r.key, r.pass.record)
		for i := range r.stale {
			if bytes.Equal(r.stale[i], r.key) {
				r.stale[i] = nil
			}
		}
	}
	for _, k := range r.stale {
		if k != nil {
			r.pass.put(nodesBucket, k, nil)
		}
	}
	r.room = r.room[:0]
}
