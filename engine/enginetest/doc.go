// Package enginetest helps to test what is built around engines.
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
// For authors of stores, the package holds engines on a store against a second
// implementation of the rules, plain and slow, which keeps all tasks as maps and
// slices. Package storetest states the contract of a store by itself; this shows
// that engines on it answer as they should, several of them on one store and at
// the same time as well.
//
// A [Story] is a series of random steps. What is random comes from outside, so
// that a test can repeat a story and, with a library for property-based tests,
// shorten one that fails:
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
