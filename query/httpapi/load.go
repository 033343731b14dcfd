package httpapi

import (
	"context"
	"errors"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

const (
	// loadsMost bounds how many trees are read at once, since the size of a tree is
	// unknown before. One client reads at most half as many.
	loadsMost = 16
	// nodeBytes is the memory of a node of a tree, without texts.
	nodeBytes = 256
	// workBytes is the additional memory of an answer in pieces: buffers, a
	// compressor, a page of records.
	workBytes = 4 << 20
	// attemptsPage is how many attempts are read at once: each has a text.
	attemptsPage = 64
)

// treeBytes is the approximate memory of a tree.
func treeBytes(tree *state.Tree) int64 {
	bytes := int64(nodeBytes) * int64(tree.Len())
	for i := range tree.Len() {
		bytes += int64(tree.View(i).TextBytes())
	}
	return bytes
}

// extraBytes says how much memory an answer needs besides trees.
type extraBytes func(trees []*state.Tree) (int64, error)

// inPieces is for an answer that reads records page by page.
func inPieces([]*state.Tree) (int64, error) { return workBytes, nil }

// load is loadAll for one tree.
func (x *exchange) load(extra extraBytes, read func(context.Context) (store.Snapshot, error)) (snap store.Snapshot, err error) {
	_, err = x.loadAll(extra, func(ctx context.Context) ([]*state.Tree, error) {
		read, err := read(ctx)
		snap = read
		return []*state.Tree{snap.Tree}, err
	})
	return snap, err
}

// loadAll reads trees with read and holds their bytes, and those that extra, if not
// nil, returns for other data of the answer, until the exchange ends or loads again. It
// waits for its turn to read. If the bytes are not available, it drops the trees, lets
// others read, waits for the bytes, and reads again.
func (x *exchange) loadAll(extra extraBytes, read func(context.Context) ([]*state.Tree, error)) (trees []*state.Tree, err error) {
	if x.params.err != nil {
		return nil, x.params.err
	}
	ctx, patience := x.r.Context(), x.h.opts.WriteTimeout
	x.claim.end()
	x.claim = nil
	for claimed := int64(0); ; {
		turn, err := x.h.loads.take(ctx, x.client(), 1, patience)
		if err != nil {
			return nil, err
		}
		trees, err := read(ctx)
		var more int64
		if err == nil && extra != nil {
			more, err = extra(trees)
		}
		if err != nil {
			turn.end()
			return nil, err
		}
		bytes := int64(0)
		for _, tree := range trees {
			bytes += treeBytes(tree)
		}
		if bytes > pieceBytes {
			more = max(more, workBytes)
		}
		if bytes += more; bytes > claimed {
			x.claim.end()
			x.claim, err = x.h.memory.take(ctx, x.client(), bytes, 0)
		}
		turn.end()
		if err == nil {
			return trees, nil
		}
		if x.claim, err = x.h.memory.take(ctx, x.client(), bytes, patience); err != nil {
			return nil, err
		}
		claimed = bytes
	}
}

// now is the present task or node that the request names.
func (x *exchange) now(extra extraBytes) (store.Snapshot, error) {
	return x.load(extra, func(ctx context.Context) (store.Snapshot, error) {
		return x.h.query.Snapshot(ctx, x.business, x.task)
	})
}

// attempts calls each with the superseded attempts of a node of a tree, oldest first,
// up to the current attempt in the tree: later ones are left out. data asks for their
// data too. The node is not found if its task was deleted since, because a task of
// another business may have its ID.
func (x *exchange) attempts(tree *state.Tree, node *state.Node, data bool, each func(*store.Attempt)) error {
	ctx := x.r.Context()
	for n := 0; ; {
		page, err := x.h.reader.Attempts(ctx, store.ByNode(node.ID), store.AttemptQuery{Skip: n, Limit: attemptsPage, Data: data})
		if err = x.still(tree, node.ID, err); err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if page[i].Current || page[i].Version == node.Version {
				return nil
			}
			each(&page[i])
		}
		n += len(page)
	}
}

// still is an error of reading a node of a tree. Without one, it checks that the node
// still belongs to the task: otherwise it was deleted, and another task has the ID.
func (x *exchange) still(tree *state.Tree, node string, err error) error {
	if err == nil {
		var at store.Location
		if at, err = x.h.reader.Locate(x.r.Context(), store.ByNode(node)); err == nil && at.Key != tree.Key() {
			err = state.ErrNotFound
		}
	}
	if errors.Is(err, state.ErrNotFound) {
		return x.noNode(node)
	}
	return err
}

func (x *exchange) noNode(id string) error {
	return missing("task %q of business %q has no node %q", x.task, x.business, id)
}

// node is the node of the task that the request names in node_id.
func (x *exchange) node() (snap store.Snapshot, node state.Node, err error) {
	id := x.params.nodeID("node_id")
	snap, err = x.now(func(trees []*state.Tree) (int64, error) {
		i, ok := trees[0].Named(id)
		if !ok { // the definition may tell of it
			data, err := x.inputBytes(trees)
			return workBytes + data, err
		}
		node = trees[0].Node(i)
		data, err := x.dataBytes(node.ID)
		return workBytes + data, err
	})
	if errors.Is(err, state.ErrNotFound) && snap.Tree != nil { // deleted since it was read
		return snap, node, x.noNode(id)
	}
	if err == nil && node.ID == "" {
		err = x.noNode(id)
	}
	return snap, node, err
}
