package boltstore

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// add commits a task: together with others or, if it has much data, separately
// and in parts.
func (r *rebuilder) add(t *remains, list []foundTransition, partly bool) error {
	trs, size, missing := t.withData(r.tx, list)
	if missing > 0 {
		partly = true
		r.report(fmt.Sprintf("task %s: %d of its inputs and outputs are lost", t.header.Key, missing))
	}
	if size <= dataAtOnce {
		r.changes = append(r.changes, store.Write{Transitions: trs})
		r.partly = append(r.partly, partly)
		r.pending += len(trs) + size>>10
		return nil
	}
	if err := r.commit(); err != nil {
		return err
	}
	base := uint64(0)
	for len(trs) > 0 {
		n, size := 0, 0
		for n < len(trs) && (n == 0 || size+len(trs[n].Data.Bytes()) <= dataAtOnce) {
			size += len(trs[n].Data.Bytes())
			n++
		}
		results, err := r.to.Commit(r.ctx, []store.Write{{Base: base, Transitions: trs[:n]}})
		if err != nil {
			return err
		}
		if results[0].Err != nil {
			r.lost("task "+t.header.Key.String(), results[0].Err.Error())
			return nil
		}
		base = results[0].First + uint64(n) - 1
		trs = trs[n:]
	}
	r.count(partly)
	return nil
}

// dataAtOnce is the most bytes of data of a task that is committed with others.
const dataAtOnce = 4 << 20

// withData returns transitions together with the bytes of their data, and the
// number of these bytes. missing counts data that cannot be read, and data that
// was found but belongs to none of the transitions.
func (t *remains) withData(tx *bolt.Tx, list []foundTransition) (trs []*state.Transition, size, missing int) {
	found := make(map[string]struct{})
	prefix := seqKey(t.place.number)
	c := dataBucket.in(tx).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		found[string(k)] = struct{}{}
	}
	trs = make([]*state.Transition, len(list))
	for i := range list {
		tr := list[i].tr
		if trs[i] = tr; tr.Data == nil {
			continue
		}
		complete := *tr
		k := dataKeyOf(t.place.number, tr)
		delete(found, string(k))
		data, err := decodeData(k, dataBucket.in(tx).Get(k), true)
		if err != nil || !data.Equal(tr.Data) {
			data = nil
			missing++
		}
		size += len(data.Bytes())
		complete.Data, trs[i] = data, &complete
	}
	return trs, size, missing + len(found)
}

func (r *rebuilder) count(partly bool) {
	if partly {
		r.done.Partly++
	} else {
		r.done.Whole++
	}
}

// nameData sets the data of reconstructed transitions, where their operations
// can have data.
func (t *remains) nameData(tx *bolt.Tx, list []foundTransition) {
	for i := range list {
		tr := list[i].tr
		k := dataKeyOf(t.place.number, tr)
		v := dataBucket.in(tx).Get(k)
		if v == nil {
			continue
		}
		if data, err := decodeData(k, v, false); err == nil {
			if tr.Data = data; tr.Validate() != nil {
				tr.Data = nil
			}
		}
	}
}
