package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// byHand is the simplest use of bbolt: a bucket of JSON records and an Update for
// each transition.
type byHand struct {
	db *bolt.DB
}

type nodeRecord struct {
	ID       string    `json:"id"`
	Task     string    `json:"task"`
	Name     string    `json:"name"`
	State    string    `json:"state"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
}

var nodesBucket = []byte("nodes")

func (b *byHand) open(_ context.Context, dir string) (err error) {
	if b.db, err = bolt.Open(filepath.Join(dir, "byhand.db"), 0o600, nil); err != nil {
		return err
	}
	return b.db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket(nodesBucket)
		return err
	})
}

func (b *byHand) record(ctx context.Context, task string, n int) error {
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		id := fmt.Sprintf("%08d", i)
		if err := b.start(task, id); err != nil {
			return err
		}
		if err := b.finish(task, id); err != nil {
			return err
		}
	}
	return nil
}

func nodeKey(task, id string) []byte { return []byte(task + "/" + id) }

func (b *byHand) start(task, id string) error {
	r := nodeRecord{ID: id, Task: task, Name: "activity", State: "RUNNING", Started: time.Now()}
	return b.db.Update(func(tx *bolt.Tx) error { return put(tx, &r) })
}

func (b *byHand) finish(task, id string) error {
	return b.db.Update(func(tx *bolt.Tx) error {
		var r nodeRecord
		if err := json.Unmarshal(tx.Bucket(nodesBucket).Get(nodeKey(task, id)), &r); err != nil {
			return err
		}
		if r.State != "RUNNING" {
			return fmt.Errorf("node %s is %s", id, r.State)
		}
		r.State, r.Finished = "FINISHED", time.Now()
		return put(tx, &r)
	})
}

func put(tx *bolt.Tx, r *nodeRecord) error {
	v, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.Bucket(nodesBucket).Put(nodeKey(r.Task, r.ID), v)
}

func (b *byHand) status(_ context.Context, task string) (answer []byte, nodes int, err error) {
	var list []nodeRecord
	err = b.db.View(func(tx *bolt.Tx) error {
		prefix := nodeKey(task, "")
		c := tx.Bucket(nodesBucket).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			var r nodeRecord
			if err := json.Unmarshal(v, &r); err != nil {
				return err
			}
			list = append(list, r)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	answer, err = json.Marshal(list)
	return answer, len(list), err
}

func (b *byHand) close(context.Context) error { return b.db.Close() }
