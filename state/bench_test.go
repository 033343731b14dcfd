package state_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// hexTree builds a running pipeline of so many nodes with hex IDs and default
// names: subprocesses of 19 leaves each, finished ones up to the last.
func hexTree(b *testing.B, nodes int) *state.Tree {
	b.Helper()
	const group = 20
	builder := state.NewBuilder(key, nodes)
	for i := range nodes {
		s := describe(hexID(i), state.ServiceActivity, state.Finished, nil)
		s.node.Index, s.node.ParentIndex = i, (i-1)/group*group+1
		s.node.Version = state.VersionOf([16]byte{byte(i), byte(i >> 8), 0xff})
		switch {
		case i == 0:
			s.node.Kind, s.node.State, s.node.ParentIndex, s.node.Version = state.Pipeline, state.Running, -1, state.Version{}
		case i%group == 1:
			s.node.Kind, s.node.State, s.node.ParentIndex = state.Subprocess, state.Running, 0
		case i == nodes-1:
			s.node.State, s.node.Finished = state.Running, state.Instant{}
		}
		if err := builder.Add(&s.node); err != nil {
			b.Fatal(err)
		}
	}
	tree, err := builder.Tree(1)
	if err != nil {
		b.Fatal(err)
	}
	return tree
}

func hexID(i int) string { return fmt.Sprintf("%032x", 0x5a1622f9f43e<<16+uint64(i)) }

// BenchmarkApply changes a leaf in a subprocess: one transition an iteration.
func BenchmarkApply(b *testing.B) {
	for _, nodes := range []int{20, 1000, 10_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			tree := hexTree(b, nodes)
			leaf := hexID(nodes - 1)
			ops := [2]state.Op{on(state.Suspend, leaf), on(state.Resume, leaf)}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				next, _, err := tree.Apply(state.Limits{}, ops[i%2])
				if err != nil {
					b.Fatal(err)
				}
				tree = next
			}
		})
	}
}

// BenchmarkDeclare grows a tree to so many nodes, one operation at a time.
func BenchmarkDeclare(b *testing.B) {
	for _, nodes := range []int{20, 1000, 10_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			start, _, err := state.NewTree(key).Apply(state.Limits{}, create(hexID(0)), on(state.Start, hexID(0)))
			if err != nil {
				b.Fatal(err)
			}
			ops := make([]state.Op, nodes)
			for i := range ops {
				ops[i] = declare(hexID(0), hexID(i))
			}
			b.ReportAllocs()
			for b.Loop() {
				tree := start
				for i := 1; i < nodes; i++ {
					if tree, _, err = tree.Apply(state.Limits{}, ops[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(nodes-1), "ns/node")
		})
	}
}

// BenchmarkLiveNode measures the memory of a node, including its ID, in a tree
// of 1,000 nodes: loaded from a store, and made by operations.
func BenchmarkLiveNode(b *testing.B) {
	const nodes, trees = 1000, 50
	for _, c := range []struct {
		how  string
		tree func(b *testing.B) *state.Tree
	}{
		{"built", func(b *testing.B) *state.Tree { return hexTree(b, nodes) }},
		{"applied", func(b *testing.B) *state.Tree { return appliedTree(b, nodes) }},
	} {
		b.Run(fmt.Sprintf("nodes=%d/tree=%s", nodes, c.how), func(b *testing.B) {
			var bytes uint64
			for b.Loop() {
				before := heap()
				live := make([]*state.Tree, trees)
				for i := range live {
					live[i] = c.tree(b)
				}
				bytes += heap() - before
				runtime.KeepAlive(live)
			}
			b.ReportMetric(float64(bytes)/float64(b.N)/nodes/trees, "B/node")
		})
	}
}

// heap is the number of bytes in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// appliedTree is a tree like that of hexTree, made by operations.
func appliedTree(b *testing.B, nodes int) *state.Tree {
	b.Helper()
	parent := hexID(0)
	tree, _, err := state.NewTree(key).Apply(state.Limits{}, create(parent), on(state.Start, parent))
	for i := 1; i < nodes && err == nil; i++ {
		id := hexID(i)
		if i%20 == 1 {
			parent = id
			tree, _, err = tree.Apply(state.Limits{}, declare(tree.ID(0), id, asSubprocess), on(state.Start, id))
			continue
		}
		tree, _, err = tree.Apply(state.Limits{}, declare(parent, id), on(state.Start, id), on(state.Finish, id))
	}
	if err != nil {
		b.Fatal(err)
	}
	return tree
}
