// Package enginetest helps to test runners and stores.
//
// # Runners
//
// [Engine] gives the test of a runner an engine whose answers are the same in
// every run:
//
//	e := enginetest.Engine(t)
//	err := myRunner.Run(ctx, e, "2", "10")
//	snap, err := e.Load(ctx, store.ByKey("2", "10"))
//
// # Stores
//
// For authors of stores, the package compares engines on a store with a second
// implementation of the rules, which is simple and slow and keeps all tasks in maps
// and slices. Package storetest tests the contract of the store alone; this
// package tests that engines on the store answer correctly, including several
// engines at the same time.
//
// A [Story] is a series of random steps. The caller supplies the random numbers, so
// that a test can repeat a story and, with a library for property-based tests,
// shorten a failing one:
//
//	rapid.Check(t, func(rt *rapid.T) {
//		story := enginetest.New(rt, enginetest.Options{
//			Open:   func() ([]store.Store, error) { … },
//			Chance: func(what string) int { return chance.Draw(rt, what) },
//		})
//		defer story.Close()
//		rt.Repeat(actions(story.Steps()))
//	})
package enginetest
