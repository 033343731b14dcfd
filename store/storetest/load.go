package storetest

import (
	"fmt"
	"math"
	"reflect"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var loadCases = []testCase{
	{
		"a loaded tree equals the one it was computed from",
		"Load returns the tree that the task's transitions lead to, node by node, at the revision of the last",
		loadEquals,
	},
	{
		"every node leads to its task",
		"Load by the ID of any node returns the task's tree and the node's index in it; by the task's key it is 0",
		loadByNode,
	},
	{
		"a snapshot carries the store's sequence",
		"Snapshot.Position is that of the last committed transition of the log, whichever task it belongs to",
		loadSequence,
	},
	{
		"locate says where a task or node is",
		"Locate returns key and revision for a key and for any node, without a tree",
		locate,
	},
	{
		"a key is that of one node",
		"Load, Locate and Attempts by the key of a node find the node that has exactly this key, whatever the names and keys of others contain",
		nodeByKey,
	},
	{
		"unknown tasks and nodes are not found",
		"every method that reads a task or node returns ErrNotFound for one that does not exist",
		notFound,
	},
	{
		"a node ID in a reference comes first",
		"a Ref with a Node names the task of that node, whatever its Key",
		nodeFirst,
	},
}

func loadEquals(c *trial) {
	a, b := c.task("2", "a"), c.task("2", "b")
	a.do(create("a"))
	c.reopen()
	a.expectTree()
	tour(b)
	c.reopen()
	b.expectTree()
	// Changes of existing nodes, and new nodes.
	a.do(on(state.Start, "a"), declare("n", "a", state.Subprocess), on(state.Start, "n"))
	c.reopen()
	a.do(declare("m", "n", state.ServiceActivity), on(state.Start, "m"), on(state.Fail, "m"))
	b.do(on(state.Resume, "b"), on(state.Revoke, "b"))
	a.expectTree()
	b.expectTree()
	c.reopen()
	a.expectTree()
	b.expectTree()
}

func loadByNode(c *trial) {
	a, b := c.task("2", "a"), c.task("2", "b")
	tour(a)
	tour(b)
	c.reopen()
	for _, w := range []*writer{a, b} {
		if snap := c.load(w.ref()); snap.Index != 0 {
			c.broken("load %s: node index %d, want 0", w.ref(), snap.Index)
		}
		for i := range w.tree.Len() {
			ref := store.ByNode(w.tree.ID(i))
			snap := c.load(ref)
			if d := diffTrees(snap.Tree, w.tree); d != "" {
				c.broken("load %s: %s", ref, d)
			}
			if snap.Index != i {
				c.broken("load %s: node index %d, want %d", ref, snap.Index, i)
			}
			n := w.tree.Node(i)
			if ref = store.ByNodeKey(w.key().Business, w.key().Task, n.Key); n.Key != "" && c.load(ref).Index != i {
				c.broken("load %s: node index %d, want %d", ref, c.load(ref).Index, i)
			}
		}
	}
}

func loadSequence(c *trial) {
	a, b := c.started("2", "a"), c.started("2", "b")
	check := func() {
		c.Helper()
		c.reopen()
		for _, w := range []*writer{a, b} {
			for _, ref := range []store.Ref{w.ref(), store.ByNode(w.root())} {
				if got := c.load(ref).Position.In(c.last()); got != c.last() {
					c.broken("load %s: sequence %d, want %d", ref, got, c.last())
				}
			}
		}
	}
	check()
	b.do(on(state.Suspend, "b"))
	check()
	gone := c.started("2", "gone")
	check()
	gone.delete()
	check()
}

func locate(c *trial) {
	a, b := c.task("2", "a"), c.started("3", "b")
	tour(a)
	check := func() {
		c.Helper()
		c.reopen()
		for _, w := range []*writer{a, b} {
			want := store.Location{Key: w.key(), Revision: w.revision()}
			refs := []store.Ref{w.ref(), store.ByNode(w.root()), store.ByNode(w.tree.ID(w.tree.Len() - 1))}
			if i, ok := w.tree.FindKey("b's key"); ok {
				refs = append(refs, store.ByNodeKey("2", "a", w.tree.Node(i).Key))
			}
			for _, ref := range refs {
				got, err := c.store.Locate(c.Context(), ref)
				c.want("locate "+ref.String(), err, nil)
				if got != want {
					c.broken("locate %s: %+v, want %+v", ref, got, want)
				}
			}
		}
	}
	check()
	a.do(on(state.Resume, "a"))
	b.do(declare("n", "b", state.EndEvent))
	check()
}

func nodeByKey(c *trial) {
	a := c.started("2", "a")
	named := func(id, name, key string) state.Op {
		op := declare(id, "a", state.ServiceActivity)
		op.Name, op.Key = name, key
		return op
	}
	a.do(named("1", "deploy", ""), named("2", "deploy", "deploy all"), named("3", "deploy all", "deploy"), named("4", "", "2"))
	a.do(on(state.Start, "3"), on(state.Fail, "3"), on(state.Retry, "3"), on(state.Start, "4"))
	c.reopen()
	for key, id := range map[string]string{"deploy all": "2", "deploy": "3", "2": "4"} {
		ref := store.ByNodeKey("2", "a", key)
		snap, err := c.store.Load(c.Context(), ref)
		c.want("load "+ref.String(), err, nil)
		if got := snap.Tree.ID(snap.Index); got != id {
			c.broken("load %s: node %q, want %q", ref, got, id)
		}
		at, err := c.store.Locate(c.Context(), ref)
		c.want("locate "+ref.String(), err, nil)
		if want := (store.Location{Key: a.key(), Revision: a.revision()}); at != want {
			c.broken("locate %s: %+v, want %+v", ref, at, want)
		}
		for skip := range 3 {
			q := store.AttemptQuery{Skip: skip, Limit: 1}
			got, err := c.store.Attempts(c.Context(), ref, q)
			c.want("attempts of "+ref.String(), err, nil)
			want, err := c.store.Attempts(c.Context(), store.ByNode(id), q)
			c.want("attempts of "+id, err, nil)
			if !reflect.DeepEqual(got, want) {
				c.broken("attempts of %s: %+v, want %+v as of node %q", ref, got, want, id)
			}
		}
	}
	for _, key := range []string{"1", "deploy al", "all", "eploy"} {
		ref := store.ByNodeKey("2", "a", key)
		_, err := c.store.Locate(c.Context(), ref)
		c.want("locate "+ref.String(), err, state.ErrNotFound)
		_, err = c.store.Attempts(c.Context(), ref, store.AttemptQuery{})
		c.want("attempts of "+ref.String(), err, state.ErrNotFound)
	}
}

func notFound(c *trial) {
	key := state.Key{Business: "2", Task: "10"}
	c.expectAbsent(key, "10")
	c.started("2", "10")
	c.reopen()
	for _, key := range []state.Key{{}, {Business: "2"}, {Task: "10"}, {Business: "10", Task: "2"}, {Business: "2", Task: "1"}, {Business: "2", Task: "100"}, {Business: "2", Task: "10 "}} {
		c.expectAbsent(key)
	}
	c.expectAbsent(state.Key{Business: "2", Task: "1"}, "1", "2", "100", "0", "10 ", "\"10\"")
	for _, ref := range []store.Ref{store.ByNodeKey("2", "10", "no such key"), store.ByNodeKey("2", "10", "10"), store.ByNodeKey("2", "11", "key")} {
		_, err := c.store.Load(c.Context(), ref)
		c.want("load "+ref.String(), err, state.ErrNotFound)
		_, err = c.store.Locate(c.Context(), ref)
		c.want("locate "+ref.String(), err, state.ErrNotFound)
	}
	_, err := c.store.Transitions(c.Context(), state.Key{Business: "3", Task: "10"}, math.MaxUint64, 1)
	c.want("transitions of no task", err, state.ErrNotFound)
	_, err = c.store.Attempts(c.Context(), store.ByNodeKey("2", "10", "no such key"), store.AttemptQuery{Limit: 1})
	c.want("attempts of no key", err, state.ErrNotFound)
	_, err = c.store.Attempts(c.Context(), store.ByNode("1"), store.AttemptQuery{Skip: math.MaxInt, Limit: 1})
	c.want(fmt.Sprintf("attempts of no node after %d", math.MaxInt), err, state.ErrNotFound)
}

func nodeFirst(c *trial) {
	a, b := c.started("2", "a"), c.started("2", "b")
	c.reopen()
	for _, key := range []state.Key{a.key(), b.key(), {Business: "3", Task: "none"}} {
		if got := c.load(store.Ref{Key: key, Node: "a"}).Tree.Key(); got != a.key() {
			c.broken("load of node \"a\" with key %s: task %s, want %s", key, got, a.key())
		}
		_, err := c.store.Locate(c.Context(), store.Ref{Key: key, Node: "none"})
		c.want("locate node \"none\" with key "+key.String(), err, state.ErrNotFound)
	}
}
