package query_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// load records a finished task of so many nodes, flat or five levels deep.
func load(b *testing.B, s store.Store, nodes int, shape string) {
	b.Helper()
	e := openEngine(b, s, nil)
	ops := []engine.Op{engine.Create("2", "10", engine.ID("root")), engine.Start("root")}
	parents := []string{"root"}
	if shape == "deep" {
		for level := range 4 {
			id := fmt.Sprintf("%032x", level+1)
			ops = append(ops, engine.Declare(parents[level], state.Subprocess, engine.ID(id)), engine.Start(id))
			parents = append(parents, id)
		}
	}
	for i := len(parents); i < nodes; i++ {
		id := fmt.Sprintf("%032x", 1000+i)
		ops = append(ops, engine.Declare(parents[i%len(parents)], state.ServiceActivity, engine.ID(id)), engine.Start(id), engine.Finish(id))
		if len(ops) > 1000 {
			if _, err := e.Record(b.Context(), ops...); err != nil {
				b.Fatal(err)
			}
			ops = ops[:0]
		}
	}
	if len(ops) > 0 {
		if _, err := e.Record(b.Context(), ops...); err != nil {
			b.Fatal(err)
		}
	}
	e.Close()
}

// plainNode is the documented shape, written without this package.
type plainNode struct {
	Retry      int                   `json:"retry"`
	Name       string                `json:"name"`
	FinishTime string                `json:"finish_time"`
	Skip       bool                  `json:"skip"`
	StartTime  string                `json:"start_time"`
	Children   map[string]*plainNode `json:"children"`
	State      string                `json:"state"`
	Version    string                `json:"version"`
	ID         string                `json:"id"`
	Loop       int                   `json:"loop"`
}

func plain(tree *state.Tree, i int) *plainNode {
	n := tree.Node(i)
	shown := func(at state.Instant) string {
		if !at.IsSet() {
			return ""
		}
		return at.Time().In(shanghai).Format(query.TimeLayout)
	}
	p := &plainNode{
		Retry: n.Retry(), Name: n.DisplayName(), FinishTime: shown(n.Finished), Skip: n.Skipped, StartTime: shown(n.Started),
		Children: make(map[string]*plainNode), State: tree.Shown(i).String(), Version: n.Version.String(), ID: n.ID, Loop: n.Loop,
	}
	for c := range tree.Children(i) {
		p.Children[tree.ID(c)] = plain(tree, c)
	}
	return p
}

func perNode(b *testing.B, nodes int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(nodes), "ns/node")
}

// BenchmarkSnapshot answers with JSON: from a tree in memory with AppendJSON and
// with structs and encoding/json, and from a file without an engine.
func BenchmarkSnapshot(b *testing.B) {
	for _, shape := range []string{"flat", "deep"} {
		for _, nodes := range []int{10, 100, 1000, 10_000} {
			m := store.NewMemory()
			load(b, m, nodes, shape)
			path := filepath.Join(b.TempDir(), "status.db")
			file := openFile(b, path)
			load(b, file, nodes, shape)
			if err := file.Close(); err != nil { // writes the overlay back
				b.Fatal(err)
			}
			file = openFile(b, path)
			name := fmt.Sprintf("nodes=%d/shape=%s/by=", nodes, shape)
			appended := func(b *testing.B, s store.Reader) {
				q := query.New(s, &options)
				dst, err := q.AppendJSON(b.Context(), nil, "2", "10") // grown to its size
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if dst, err = q.AppendJSON(b.Context(), dst[:0], "2", "10"); err != nil {
						b.Fatal(err)
					}
				}
				b.SetBytes(int64(len(dst)))
				perNode(b, nodes)
			}
			b.Run(name+"append", func(b *testing.B) { appended(b, m) })
			b.Run(name+"structs", func(b *testing.B) {
				b.ReportAllocs()
				var dst bytes.Buffer
				for b.Loop() {
					snap, err := m.Load(b.Context(), store.ByKey("2", "10"))
					if err != nil {
						b.Fatal(err)
					}
					dst.Reset()
					e := json.NewEncoder(&dst)
					e.SetEscapeHTML(false)
					if err := e.Encode(map[string]any{"result": true, "data": plain(snap.Tree, 0)}); err != nil {
						b.Fatal(err)
					}
				}
				perNode(b, nodes)
			})
			b.Run(name+"file", func(b *testing.B) { appended(b, file) })
		}
	}
}

func BenchmarkStatus(b *testing.B) {
	const nodes = 1000
	m := store.NewMemory()
	load(b, m, nodes, "flat")
	q := query.New(m, &options)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Status(b.Context(), "2", "10"); err != nil {
			b.Fatal(err)
		}
	}
	perNode(b, nodes)
}

// BenchmarkPast rebuilds the last state of a task of 1,000 nodes from its 3,000
// transitions, and its timeline.
func BenchmarkPast(b *testing.B) {
	const nodes = 1000
	for _, kind := range []string{"memory", "file"} {
		var s store.Store = store.NewMemory()
		if kind == "file" {
			s = openFile(b, filepath.Join(b.TempDir(), "status.db"))
		}
		load(b, s, nodes, "flat")
		q := query.New(s, &options)
		b.Run("store="+kind+"/call=as-of", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := q.AsOf(b.Context(), "2", "10", time.Now()); err != nil {
					b.Fatal(err)
				}
			}
			perNode(b, nodes)
		})
		b.Run("store="+kind+"/call=timeline", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := q.Timeline(b.Context(), "2", "10"); err != nil {
					b.Fatal(err)
				}
			}
			perNode(b, nodes)
		})
	}
}

// BenchmarkList reads a page of 50 of 1,000 tasks, BenchmarkHistory the 100
// attempts of a node.
func BenchmarkList(b *testing.B) {
	for _, kind := range []string{"memory", "file"} {
		var s store.Store = store.NewMemory()
		if kind == "file" {
			s = openFile(b, filepath.Join(b.TempDir(), "status.db"))
		}
		e := openEngine(b, s, nil)
		var last *engine.Pending
		for i := range 1000 {
			last = e.Submit(engine.Create("2", fmt.Sprint(i), engine.ID(fmt.Sprint("root", i))))
		}
		if _, err := last.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
		q := query.New(s, &options)
		b.Run("store="+kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if page, err := q.List(b.Context(), store.ListQuery{Business: "2", Limit: 50}); err != nil || len(page.Tasks) != 50 {
					b.Fatal(page, err)
				}
			}
		})
	}
}

func BenchmarkHistory(b *testing.B) {
	for _, kind := range []string{"memory", "file"} {
		var s store.Store = store.NewMemory()
		if kind == "file" {
			s = openFile(b, filepath.Join(b.TempDir(), "status.db"))
		}
		e := openEngine(b, s, nil)
		ops := []engine.Op{engine.Create("2", "10", engine.ID("root")), engine.Start("root"), engine.Declare("root", state.ServiceActivity, engine.ID("a")), engine.Start("a")}
		for range 100 {
			ops = append(ops, engine.Finish("a"), engine.Loop("a"))
		}
		if _, err := e.Record(b.Context(), ops...); err != nil {
			b.Fatal(err)
		}
		q := query.New(s, &options)
		b.Run("store="+kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if list, err := collect(q.History(b.Context(), store.ByNode("a"))); err != nil || len(list) != 100 {
					b.Fatal(len(list), err)
				}
			}
		})
	}
}

// BenchmarkConcurrent measures snapshots of 1,000 nodes while writers record, and
// transitions while snapshots of 10,000 nodes are read ten times a second.
func BenchmarkConcurrent(b *testing.B) {
	file := openFile(b, filepath.Join(b.TempDir(), "status.db"))
	load(b, file, 1_000, "flat")
	e := openEngine(b, file, nil)
	large := []engine.Op{engine.Create("2", "large", engine.ID("large")), engine.Start("large")}
	for range 9_999 {
		large = append(large, engine.Declare("large", state.ServiceActivity))
	}
	if _, err := e.Record(b.Context(), large...); err != nil {
		b.Fatal(err)
	}
	q := query.New(e, &options)
	for _, writers := range []int{0, 32, 256} {
		b.Run(fmt.Sprintf("snapshots/writers=%d", writers), func(b *testing.B) {
			var recorded atomic.Int64
			stop := background(b, writers, func() error {
				_, err := e.Create(context.Background(), "2", fmt.Sprint(writers, " writers ", recorded.Add(1)))
				return err
			})
			defer stop()
			var dst []byte
			for b.Loop() {
				var err error
				if dst, err = q.AppendJSON(b.Context(), dst[:0], "2", "10"); err != nil {
					b.Fatal(err)
				}
			}
			perNode(b, 1_000)
		})
	}
	for _, readers := range []int{0, 1} {
		b.Run(fmt.Sprintf("transitions/readers=%d", readers), func(b *testing.B) {
			stop := background(b, readers, func() error {
				time.Sleep(100 * time.Millisecond)
				_, err := q.AppendJSON(context.Background(), nil, "2", "large")
				return err
			})
			defer stop()
			for n := 0; b.Loop(); n++ {
				if _, err := e.Create(b.Context(), "2", fmt.Sprint(readers, " readers ", n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// background calls do repeatedly on n goroutines until stop is called.
func background(b *testing.B, n int, do func() error) (stop func()) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range n {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	return func() {
		close(done)
		wg.Wait()
	}
}
