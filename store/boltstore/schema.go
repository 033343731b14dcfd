package boltstore

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
)

// The file, bucket by bucket. Numbers in keys are big-endian, so that byte
// order is numerical order: seq and number 8 bytes, index and attempt 4. A
// task's number is the sequence of its first transition, which is never used
// again. Every value begins with the version of its format, 1, or 3 for nodes.
// "Sealed" values end with a checksum over key and value. The others are
// indexes, which are verified by the records that they lead to. Text keys are
// written by appendID: a tag and 16 bytes for 32 lower-case hex digits,
// otherwise the length and the bytes.
//
//	meta
//	├── "format"                     -> version, "pipestatus", sealed
//	├── "checkpoint"                 -> the seq up to which the file has everything, sealed
//	├── "histories"                  -> each history's ID and the seq after which it began, sealed
//	└── "journal"                    -> the journal of the file, sealed
//	feed
//	└── seq of the first transition  -> transitions of one commit, sealed
//	tasks
//	└── number                       -> header, sealed
//	nodes
//	└── number, index of the first   -> up to groupNodes nodes, sealed
//	attempts
//	└── number, index, attempt       -> superseded attempt, sealed
//	transitions
//	└── number, seq of the first     -> up to blockMax transitions, sealed
//	keys
//	└── business, task               -> number
//	ids
//	└── node ID                      -> number, index
//	unfinished
//	└── number                       -> (version only)
//	business
//	└── business, number             -> (version only)
//	failures
//	└── number                       -> (version only)
//	names
//	└── name, number                 -> (version only)
//	labels
//	└── key, value, number           -> (version only)
//	data
//	└── number, index, attempt, what -> input (0) or output (1), see data.go
//
// The five buckets before data are the indexes of unfinished tasks, businesses,
// tasks with failures, names, and labels. A list reads one of them together
// with the overlay.
//
// One task's nodes are neighbors, and the first record begins with a copy of
// the task's header: reading a task takes a lookup in keys and one range scan,
// and needs neither tasks nor attempts nor transitions. The buckets are flat,
// because nested ones took 466 MiB instead of 277 for 50,000 node writes.
//
// The file has everything up to its checkpoint and nothing later. Later
// transitions may be in the journal, which the meta bucket's record says;
// package journal describes its format.
type bucket int

const (
	metaBucket bucket = iota
	feedBucket
	tasksBucket
	nodesBucket
	attemptsBucket
	transitionsBucket
	keysBucket
	idsBucket
	unfinishedBucket
	businessBucket
	failuresBucket
	namesBucket
	labelsBucket
	dataBucket

	bucketCount
)

var bucketNames = [bucketCount]string{
	"meta", "feed", "tasks", "nodes", "attempts", "transitions", "keys", "ids",
	"unfinished", "business", "failures", "names", "labels", "data",
}

// bucketsOf is the number of buckets in a file of a schema.
func bucketsOf(version byte) bucket {
	if version < 3 {
		return failuresBucket
	}
	return bucketCount
}

// in returns the bucket in a transaction, nil if the file's schema has no such
// bucket.
func (b bucket) in(tx *bolt.Tx) *bolt.Bucket { return tx.Bucket([]byte(bucketNames[b])) }

var (
	keyFormat     = []byte("format")
	keyCheckpoint = []byte("checkpoint")
	keyHistories  = []byte("histories")
	keyJournal    = []byte("journal")
)

const (
	// schemaVersion is in the format record. Open refuses a file with a higher
	// one.
	schemaVersion = 4
	// schemaWithJournal is the first schema with a separate journal.
	schemaWithJournal = 2
	// recordVersion begins every value.
	recordVersion = 1
	formatName    = "pipestatus"
)

// keyRoom is enough for the keys below that begin with a number.
const keyRoom = 16

func seqKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, keyRoom), seq)
}

// nodeKeyBytes is the length of the keys of nodes.
const nodeKeyBytes = 8 + 4

func nodeKey(number uint64, index int) []byte {
	return appendNodeKey(make([]byte, 0, keyRoom), number, index)
}

func appendNodeKey(dst []byte, number uint64, index int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(dst, number), uint32(index))
}

func attemptKey(number uint64, index, attempt int) []byte {
	return binary.BigEndian.AppendUint32(nodeKey(number, index), uint32(attempt))
}

func blockKey(number, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(seqKey(number), seq)
}

// idRoom is enough for most keys below, with a generated ID and a number.
const idRoom = 32

func taskKey(key state.Key) []byte {
	return appendID(appendID(make([]byte, 0, idRoom), key.Business), key.Task)
}

func idKey(id string) []byte { return appendID(make([]byte, 0, idRoom), id) }

// The prefixes of keys in the indexes whose keys are more than a number.

func businessPrefix(business string) []byte { return appendID(make([]byte, 0, idRoom), business) }

func namePrefix(name string) []byte { return appendText(make([]byte, 0, idRoom), name) }

func labelPrefix(key, value string) []byte {
	return appendText(appendText(make([]byte, 0, idRoom), key), value)
}

func indexKey(prefix []byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(prefix, number)
}
