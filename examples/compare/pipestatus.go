package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

const business = "2"

// pipestatus is this library.
type pipestatus struct {
	// submits says that a node's start is submitted and not waited for. Its
	// end is waited for, and an end is durable only after the start.
	submits bool

	store  *boltstore.Store
	engine *engine.Engine
	query  *query.Query
	answer []byte // its memory is used again, as AppendJSON is meant
}

func (p *pipestatus) open(ctx context.Context, dir string) (err error) {
	if p.store, err = boltstore.Open(filepath.Join(dir, "pipestatus.db"), nil); err != nil {
		return err
	}
	if p.engine, err = engine.Open(ctx, p.store, nil); err != nil {
		return err
	}
	p.query = query.New(p.engine, nil)
	return nil
}

func (p *pipestatus) record(ctx context.Context, task string, n int) error {
	root, err := p.engine.Create(ctx, business, task)
	if err != nil {
		return err
	}
	if _, err := p.engine.Start(ctx, root.Node); err != nil {
		return err
	}
	for i := range n {
		node := p.startAndWait
		if p.submits {
			node = p.startAndFinish
		}
		if err := node(ctx, root.Node, task, strconv.Itoa(i)); err != nil {
			return err
		}
	}
	_, err = p.engine.Finish(ctx, root.Node)
	return err
}

// startAndWait records a node's start and, when that is durable, its end.
func (p *pipestatus) startAndWait(ctx context.Context, root, _, _ string) error {
	node, err := p.engine.Enter(ctx, root, state.ServiceActivity)
	if err != nil {
		return err
	}
	_, err = p.engine.Finish(ctx, node.Node)
	return err
}

// startAndFinish records a node's start and its end and waits for the end.
func (p *pipestatus) startAndFinish(ctx context.Context, root, task, key string) error {
	started := p.engine.Submit(engine.Begin(root, state.ServiceActivity, engine.Key(key)))
	if _, err := p.engine.Finish(ctx, key, engine.In(business, task)); err != nil {
		return err
	}
	_, err := started.Wait(ctx)
	return err
}

func (p *pipestatus) status(ctx context.Context, task string) ([]byte, int, error) {
	var err error
	if p.answer, err = p.query.AppendJSON(ctx, p.answer[:0], business, task); err != nil {
		return nil, 0, err
	}
	snap, err := p.engine.Load(ctx, store.ByKey(business, task))
	if err != nil {
		return nil, 0, fmt.Errorf("load: %w", err)
	}
	return p.answer, snap.Tree.Len() - 1, nil
}

func (p *pipestatus) close(context.Context) error {
	return errors.Join(p.engine.Close(), p.store.Close())
}
