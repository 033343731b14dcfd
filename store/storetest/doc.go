// Package storetest states the contract of [store.Store] as tests. A backend
// calls [Run] from one of its tests:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Factory{
//			New:    func(t testing.TB) store.Store { … },
//			Reopen: func(t testing.TB, closed store.Store) store.Store { … },
//		})
//	}
//
// Every case states one rule, which its failures repeat. It runs twice if the
// backend can reopen: once on the open store, and once with the store closed and
// reopened between writing and reading.
//
// [Wrapper] is a store that misbehaves on demand, for tests of code that uses a
// store.
package storetest
