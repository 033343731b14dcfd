package tracing

import (
	"context"
	"crypto/sha256"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/pipestatus/pipestatus/state"
)

// ScopeName is the instrumentation scope of the spans.
const ScopeName = "github.com/pipestatus/pipestatus/engine/tracing"

// The attributes of a span.
const (
	AttributeBusiness = attribute.Key("pipestatus.business.id")
	AttributeTask     = attribute.Key("pipestatus.task.id")
	AttributeNode     = attribute.Key("pipestatus.node.id")
	AttributeKind     = attribute.Key("pipestatus.node.kind")
	AttributeVersion  = attribute.Key("pipestatus.attempt.version") // none for the root
	AttributeState    = attribute.Key("pipestatus.attempt.state")
	AttributeLoop     = attribute.Key("pipestatus.attempt.loop")
	AttributeRetry    = attribute.Key("pipestatus.attempt.retry") // retries and skips
	AttributeSkipped  = attribute.Key("pipestatus.attempt.skipped")
	// AttributeIgnored is an error that was ignored, or the reason of a revoke.
	AttributeIgnored = attribute.Key("pipestatus.attempt.error")
)

// TraceID is the ID of a task's trace. root is the ID of its root node, which
// distinguishes it from an earlier task with the same name.
func TraceID(task state.Key, root string) trace.TraceID {
	sum := digest("trace", task, root, "", 0)
	return trace.TraceID(sum[:16])
}

// SpanID is the ID of the span of an attempt: number is its place among those of
// its node, from 1, as [state.Attempt.Number] has it.
func SpanID(task state.Key, root, node string, number int) trace.SpanID {
	sum := digest("span", task, root, node, number)
	return trace.SpanID(sum[:8])
}

// digest separates its fields, so that they cannot run together.
func digest(what string, task state.Key, root, node string, number int) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s %q %q %q %q %d", what, task.Business, task.Task, root, node, number))
}

// maker makes spans with a private provider.
type maker struct {
	tracer trace.Tracer
	spans  []sdktrace.ReadOnlySpan
}

func newMaker(r *resource.Resource) *maker {
	m := new(maker)
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithIDGenerator(ids{}), sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithResource(r), sdktrace.WithSpanProcessor(m),
	)
	m.tracer = provider.Tracer(ScopeName)
	return m
}

// take removes up to n spans.
func (m *maker) take(n int) []sdktrace.ReadOnlySpan {
	n = min(n, len(m.spans))
	taken := m.spans[:n:n]
	m.spans = m.spans[n:]
	return taken
}

// attempts makes the spans of the attempts that a transition ended. tree is the tree
// after it, nil for a delete.
func (m *maker) attempts(tree *state.Tree, tr *state.Transition) {
	for i := range tr.Changes {
		c := &tr.Changes[i]
		// If the node had ended before, this is another state of the same attempt,
		// unless a new attempt began: a skip.
		ended := c.State.Ended() && (!c.From.Ended() || c.Superseded != nil)
		if ended && c.Started.IsSet() && c.Finished.IsSet() {
			m.attempt(tree, c.Index, tr.Actor)
		}
	}
}

// attempt makes the span of a node's current attempt.
func (m *maker) attempt(tree *state.Tree, index int, actor string) {
	n, root, task := tree.Node(index), tree.ID(0), tree.Key()
	ctx := withIDs(context.Background(), TraceID(task, root), SpanID(task, root, n.ID, n.Number()))
	if index > 0 {
		above := tree.Node(n.ParentIndex)
		ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: TraceID(task, root), SpanID: SpanID(task, root, above.ID, above.Number()), TraceFlags: trace.FlagsSampled,
		}))
	}
	attributes := []attribute.KeyValue{
		AttributeBusiness.String(task.Business), AttributeTask.String(task.Task), AttributeNode.String(n.ID), AttributeKind.String(n.Kind.String()),
		AttributeState.String(n.State.String()), AttributeLoop.Int(n.Loop), AttributeRetry.Int(n.Retry()),
	}
	if version := n.Version.String(); version != "" {
		attributes = append(attributes, AttributeVersion.String(version))
	}
	if n.Skipped {
		attributes = append(attributes, AttributeSkipped.Bool(true))
	}
	if actor != "" {
		attributes = append(attributes, attribute.String("enduser.id", actor))
	}
	if n.Error != "" && n.State != state.Failed {
		attributes = append(attributes, AttributeIgnored.String(n.Error))
	}
	_, span := m.tracer.Start(ctx, n.DisplayName(), trace.WithTimestamp(n.Started.Time()), trace.WithAttributes(attributes...))
	switch n.State {
	case state.Failed:
		span.SetStatus(codes.Error, n.Error)
	case state.Finished:
		span.SetStatus(codes.Ok, "")
	}
	span.End(trace.WithTimestamp(n.Finished.Time()))
}

// OnStart implements [sdktrace.SpanProcessor].
func (*maker) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements [sdktrace.SpanProcessor].
func (m *maker) OnEnd(s sdktrace.ReadOnlySpan) { m.spans = append(m.spans, s) }

// Shutdown implements [sdktrace.SpanProcessor].
func (*maker) Shutdown(context.Context) error { return nil }

// ForceFlush implements [sdktrace.SpanProcessor].
func (*maker) ForceFlush(context.Context) error { return nil }

// ids generates the IDs that a context carries.
type ids struct{}

type idsKey struct{}

type givenIDs struct {
	trace trace.TraceID
	span  trace.SpanID
}

func withIDs(ctx context.Context, t trace.TraceID, s trace.SpanID) context.Context {
	return context.WithValue(ctx, idsKey{}, givenIDs{t, s})
}

// NewIDs implements [sdktrace.IDGenerator].
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	given, _ := ctx.Value(idsKey{}).(givenIDs)
	return given.trace, given.span
}

// NewSpanID implements [sdktrace.IDGenerator].
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	given, _ := ctx.Value(idsKey{}).(givenIDs)
	return given.span
}
