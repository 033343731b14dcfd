// Package store is the contract between the engine and the storage of its tasks: a
// file (store/boltstore), memory ([Memory]), or a database that several machines
// share (store/pgstore). A store keeps the values that operations resulted in and
// never decides whether a transition is legal; it guarantees that
//
//   - a commit is durable when it returns, and each change in it is atomic;
//   - a change applies only to the revision it was computed from;
//   - task keys and node IDs are unique;
//   - sequences have no gaps, the feed is in their order, and a reader that has seen
//     one will never see a smaller one appear.
//
// A store of several logs (store/sharded) guarantees the last two for each log.
//
// The suite in store/storetest states this contract as tests.
package store
