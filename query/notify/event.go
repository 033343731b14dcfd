package notify

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

// The types of events. The type of a transition is TypeTransition followed by the
// name of its operation, for example com.github.pipestatus.transition.fail.
const (
	TypeTransition = "com.github.pipestatus.transition."
	TypeGap        = "com.github.pipestatus.gap"
)

// ContentType is the content type of a request to an endpoint.
const ContentType = "application/cloudevents+json; charset=utf-8"

// Event is a CloudEvents 1.0 event, in the form of its JSON.
type Event struct {
	SpecVersion string `json:"specversion"` // "1.0"
	// ID is the same each time a transition is delivered, also by another
	// process and after the store was restored, and differs between transitions.
	ID string `json:"id"`
	// Source is [Options.Source].
	Source string `json:"source"`
	Type   string `json:"type"`
	// Subject is business ID and task ID, each escaped as a segment of a URL's
	// path, with a slash between. A gap has none.
	Subject string `json:"subject,omitempty"`
	// Time is when it happened, in RFC 3339.
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"` // "application/json"
	// Sequence orders the events of a source: the transition's sequence in 20
	// digits. It is the CloudEvents extension of that name.
	Sequence string `json:"sequence"`
	// Data is a [wire.Transition], or a [Gap].
	Data json.RawMessage `json:"data"`
}

// Gap is the data of an event of the type [TypeGap].
type Gap struct {
	// Reason is "trimmed" if the feed no longer kept what came after the
	// position, and "history" if the store never had the position.
	Reason string `json:"reason"`
	// After is the position of the last event delivered before the gap.
	After string `json:"after"`
}

func ofTransition(tr *state.Transition, source string) (*Event, error) {
	data, err := json.Marshal(wire.OfTransition(tr))
	if err != nil {
		return nil, err
	}
	return &Event{
		SpecVersion: "1.0", ID: transitionID(tr), Source: source, Type: TypeTransition + tr.Op.String(),
		Subject: url.PathEscape(tr.Task.Business) + "/" + url.PathEscape(tr.Task.Task),
		Time:    tr.At.String(), DataContentType: "application/json", Sequence: sequence(tr.Sequence), Data: data,
	}, nil
}

// transitionID is the transition's sequence and a digest of its content, which
// differs from the transition that another history has at this sequence. It does
// not depend on process or history, so that receivers recognize repeated events.
func transitionID(tr *state.Transition) string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%d %q %q %s %s %q", tr.Sequence, tr.Task.Business, tr.Task.Task, tr.Op, tr.Recorded, tr.Node()))
	return fmt.Sprintf("%d-%x", tr.Sequence, digest[:8])
}

func ofGap(after store.Position, reason error, source string, now time.Time) (*Event, error) {
	gap := Gap{Reason: "trimmed", After: after.String()}
	if errors.Is(reason, store.ErrHistory) {
		gap.Reason = "history"
	}
	data, err := json.Marshal(gap)
	if err != nil {
		return nil, err
	}
	return &Event{
		SpecVersion: "1.0", ID: "gap-" + gap.Reason + "-" + gap.After, Source: source, Type: TypeGap,
		Time: now.UTC().Format(time.RFC3339Nano), DataContentType: "application/json", Sequence: sequence(after.Sequence), Data: data,
	}, nil
}

func sequence(n uint64) string { return fmt.Sprintf("%020d", n) }
