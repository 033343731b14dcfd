package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Inputs and outputs are in a separate bucket, each once, under their attempt. A
// record begins with the version of its format, the digest, and a checksum over the
// key, these, and the size; the bytes follow unchanged. The size and the digest can be
// read without the bytes, and the digest verifies the bytes. Transitions have only the
// size and the digest. A frame of the journal has the records of the bucket after those
// of the feed, and the overlay keeps them until they are written back.

const (
	isInput  = 0
	isOutput = 1

	dataHead = 1 + 16 + sealBytes
)

func dataKey(number uint64, index, attempt int, what byte) []byte {
	return append(attemptKey(number, index, attempt), what)
}

// dataKeyOf is the key of a transition's data.
func dataKeyOf(number uint64, tr *state.Transition) []byte {
	c, what := &tr.Changes[0], byte(isInput)
	if tr.Op == state.Finish || tr.Op == state.Fail || tr.Op == state.Skip {
		what = isOutput
	}
	return dataKey(number, c.Index, c.Number(), what)
}

// dataPut makes the record of a transition's data.
func dataPut(number uint64, tr *state.Transition) put {
	k := dataKeyOf(number, tr)
	digest := tr.Data.Digest()
	v := make([]byte, 0, dataHead+tr.Data.Size())
	v = append(append(v, recordVersion), digest[:]...)
	v = binary.LittleEndian.AppendUint32(v, dataSum(k, v, tr.Data.Size()))
	return put{k, append(v, tr.Data.Bytes()...)}
}

func dataSum(k, head []byte, size int) uint32 {
	return checksum(k, binary.LittleEndian.AppendUint32(bytes.Clone(head), uint32(size)))
}

// decodeData reads a record of the data bucket, with or without a copy of the
// bytes.
func decodeData(k, v []byte, whole bool) (*state.Data, error) {
	size := len(v) - dataHead
	if size < 0 || size > state.MaxDataBytes || binary.LittleEndian.Uint32(v[dataHead-sealBytes:]) != dataSum(k, v[:dataHead-sealBytes], size) {
		return nil, fmt.Errorf("%w: malformed data record", store.ErrCorrupt)
	}
	d := record(v[:dataHead-sealBytes])
	var digest [16]byte
	copy(digest[:], d.bytes(len(digest)))
	if err := d.end("data"); err != nil {
		return nil, err
	}
	named, err := state.NamedData(size, digest)
	if err != nil || !whole {
		return named, err
	}
	data := state.NewData(append(make([]byte, 0, size), v[dataHead:]...))
	if !data.Equal(named) {
		return nil, fmt.Errorf("%w: data has changed", store.ErrCorrupt)
	}
	return data, nil
}

// appendData appends records of data to the payload of a frame, after those of
// the feed: a length of 0, then each key, and each value with its length.
func appendData(dst []byte, records []put) []byte {
	if len(records) == 0 {
		return dst
	}
	dst = append(dst, 0)
	for i := range records {
		dst = append(dst, records[i].key...)
		dst = binary.AppendUvarint(dst, uint64(len(records[i].value)))
		dst = append(dst, records[i].value...)
	}
	return dst
}

// dataKeyBytes is the length of the keys.
const dataKeyBytes = 8 + 4 + 4 + 1

// dataTakes is the most bytes that appendData appends for a record.
func dataTakes(p *put) int { return 1 + len(p.key) + binary.MaxVarintLen32 + len(p.value) }

// eachData calls f for every record that appendData appended after the first 0.
func eachData(payload []byte, f func(p put) error) error {
	for len(payload) > 0 {
		var size uint64
		n := 0
		if len(payload) > dataKeyBytes {
			size, n = binary.Uvarint(payload[dataKeyBytes:])
		}
		from := dataKeyBytes + n
		if n <= 0 || size > uint64(len(payload)-from) {
			return fmt.Errorf("%w: malformed data in a frame", store.ErrCorrupt)
		}
		to := from + int(size)
		p := put{payload[:dataKeyBytes:dataKeyBytes], payload[from:to:to]}
		if _, err := decodeData(p.key, p.value, false); err != nil {
			return err
		}
		if err := f(p); err != nil {
			return err
		}
		payload = payload[to:]
	}
	return nil
}

// data returns the input or output of an attempt of the task's node, nil if it
// has none. It looks in the overlay first.
func (t *storedTask) data(tx *bolt.Tx, attempt int, what byte, whole bool) (*state.Data, error) {
	k := dataKey(t.place.number, t.place.index, attempt, what)
	for _, records := range t.records {
		for i := range records {
			if bytes.Equal(records[i].key, k) {
				return decodeData(k, records[i].value, whole)
			}
		}
	}
	v := dataBucket.in(tx).Get(k)
	if v == nil {
		return nil, nil
	}
	return decodeData(k, v, whole)
}
