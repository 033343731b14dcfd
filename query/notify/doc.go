// Package notify delivers what a store records to HTTP endpoints: each
// transition is one POST of a CloudEvents 1.0 event in structured JSON, signed as
// Standard Webhooks prescribes. [Deliver] follows one store for one endpoint:
//
//	secret, err := notify.ParseSecret(os.Getenv("WEBHOOK_SECRET"))
//	…
//	to := notify.Endpoint{URL: "https://example.com/hook", Secrets: []notify.Secret{secret}}
//	err = notify.Deliver(ctx, e, to, feed.File("hook.position"), nil)
//
// # Promises
//
// Delivery is at least once and in order for each task. How far it has come is
// kept in a [feed.Bookmark], which moves only over events that the endpoint has
// acknowledged with a 2xx status. A process that is killed at any moment therefore
// loses nothing and delivers at most one page of events again. A repeated event
// has the same ID, so that a receiver can drop it.
//
// A dead endpoint costs one page of transitions in memory and one request for each
// pause between attempts, whose length doubles up to a limit. Endpoints are
// independent: call Deliver once for each, each call in a separate goroutine and
// with a separate bookmark.
//
// # Answers of an endpoint
//
//   - 2xx: the event is delivered.
//   - 410 Gone: the endpoint wants no more events. Deliver returns [ErrGone].
//   - 429 and 503 with Retry-After: the next attempt waits for that time, at most
//     an hour.
//   - Everything else, redirects and timeouts included: Deliver tries again after a
//     pause. It skips no event: if the endpoint refuses one, Deliver repeats it
//     until the endpoint accepts it or [Options.GiveUp] ends Deliver.
//
// # Gaps
//
// A store keeps a bounded feed and can be replaced by a backup. Deliver then
// returns an error that matches [store.ErrTrimmed] or [store.ErrHistory], unless
// [Options.AcrossGaps] is set: then it delivers an event of the type [TypeGap],
// and continues with the oldest transition that the feed keeps.
package notify
