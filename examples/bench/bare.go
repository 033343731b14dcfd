package main

import (
	"encoding/binary"
	"os"
	"runtime"

	bolt "go.etcd.io/bbolt"
)

// bare is the yardstick for durable writes: a bbolt file with the library's
// options, in which an Update puts one value of 100 bytes under ascending keys.
type bare struct {
	path string
	db   *bolt.DB
	key  uint64
}

var (
	bareBucket   = []byte("bare")
	fillerBucket = []byte("filler")
)

func openBare(path string) (*bare, error) {
	o := &bolt.Options{FreelistType: bolt.FreelistMapType}
	if runtime.GOOS != "windows" && ^uint(0)>>32 != 0 {
		size := int64(4) << 30 // a constant would not compile where int has 32 bits
		o.InitialMmapSize = int(size)
	}
	db, err := bolt.Open(path, 0o600, o)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket(bareBucket); err != nil {
			return err
		}
		_, err := tx.CreateBucket(fillerBucket)
		return err
	})
	return &bare{path: path, db: db}, err
}

// put is one durable write.
func (b *bare) put() error {
	b.key++
	return b.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(bareBucket).Put(binary.BigEndian.AppendUint64(nil, b.key), make([]byte, 100))
	})
}

// growTo makes the file as large as another, so that neither has the smaller
// tables to keep.
func (b *bare) growTo(other string) error {
	goal, err := os.Stat(other)
	if err != nil {
		return err
	}
	for {
		own, err := os.Stat(b.path)
		if err != nil || own.Size() >= goal.Size() {
			return err
		}
		err = b.db.Update(func(tx *bolt.Tx) error {
			filler := tx.Bucket(fillerBucket)
			n, err := filler.NextSequence()
			if err != nil {
				return err
			}
			return filler.Put(binary.BigEndian.AppendUint64(nil, n), make([]byte, 4<<20))
		})
		if err != nil {
			return err
		}
	}
}
