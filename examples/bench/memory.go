package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

const (
	loadedFigure   = "live node in memory, as loaded"
	recordedFigure = "live node in memory, as recorded"
	memoryGoal     = "≤ 230 B"
	memoryBound    = 230
	liveNodes      = 1000 // of each tree
)

var memoryFigures = []string{loadedFigure, recordedFigure}

// measureMemory measures the growth of the heap when an engine loads trees into
// memory, including its map of IDs. The overlay is bounded to one transition, so
// that the store keeps no part of them in memory.
func (b *bench) measureMemory(ctx context.Context) (err error) {
	opts := &boltstore.Options{OverlayTransitions: 1}
	r, err := openRecorder(ctx, b.file("memory.db"), opts, nil)
	if err != nil {
		return err
	}
	nodes := float64(b.liveTrees * liveNodes)
	b.progress.Show("trees recorded")
	before := heap()
	for i := range b.liveTrees {
		if _, err := r.Record(ctx, runningTree(fmt.Sprint(i), liveNodes)...); err != nil {
			return errors.Join(err, r.close())
		}
	}
	// Another commit makes the store write back the tree before it.
	if _, err := r.Create(ctx, business, "last"); err != nil {
		return errors.Join(err, r.close())
	}
	recorded := float64(heap()-before) / nodes
	if err := r.close(); err != nil {
		return err
	}

	if r, err = openRecorder(ctx, b.file("memory.db"), opts, nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b.progress.Show("trees loaded")
	before = heap()
	for i := range b.liveTrees {
		snap, err := r.Load(ctx, store.ByKey(business, fmt.Sprint(i)))
		if err == nil {
			// The engine maps the IDs of a task only after a request for a node.
			_, err = r.Load(ctx, store.ByNode(snap.Tree.ID(1)))
		}
		if err != nil {
			return err
		}
	}
	loaded := float64(heap()-before) / nodes
	b.add(measured(loadedFigure, loaded, "B").goal(memoryGoal, loaded <= memoryBound),
		measured(recordedFigure, recorded, "B").goal(memoryGoal, recorded <= memoryBound).
			note("with the memory that an engine keeps from commit to commit"))
	return nil
}

// footprint is the memory that the runtime has obtained from the system, without
// pages of files in the system's cache.
func footprint() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}

// heap is how many bytes are in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
