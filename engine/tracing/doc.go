// Package tracing turns what a store records into OpenTelemetry traces: one trace
// for each task, and in it one span for each attempt of a node that was executed.
// The span of an attempt lies below that of the container's attempt, so that the
// trace has the shape of the pipeline.
//
//	err := tracing.Follow(ctx, e, feed.File("traces.position"), exporter, nil)
//
// # Promises
//
// Spans are made from the feed and not from events in the process: after a runner
// is killed, the next one or another program makes its spans. The bookmark moves
// only over spans that the exporter has accepted without error, and the IDs of
// traces and spans depend only on task, node and attempt. A span that is exported
// again after a crash therefore has the same IDs and content, and nothing is lost
// or counted twice.
//
// For this reason [Follow] takes an exporter and not a TracerProvider: a provider
// does not report whether its spans have arrived. No global provider is used or
// changed.
//
// # Spans
//
// A span is exported when its attempt ends, with the times of the attempt. An
// attempt that never started has no span: for example of a node that was only
// declared, or revoked before its start. A skip is a span of no length. A
// failed attempt has the status Error and its error text, unless the error was
// ignored. The task's root span is the last one to arrive; when an ended task is
// reopened, its next attempt is another span without a parent in the same trace.
package tracing
