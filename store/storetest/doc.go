// Package storetest states the contract of [store.Store] as tests. A backend
// calls [Run] from a test of its own:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Factory{
//			New:    func(t testing.TB) store.Store { … },
//			Reopen: func(t testing.TB, closed store.Store) store.Store { … },
//		})
//	}
//
// Every case states one rule, in the words that its failures repeat, and runs
// twice where the backend can reopen: once on the store as it is, once with
// the store closed and opened again between writing and reading.
//
// [Wrapper] is a store that misbehaves on demand, for tests of whatever stands
// on a store.
package storetest
