package state

import (
	"fmt"
	"strings"
)

// String is the operation in one line for people, such as
// `fail node "a" with "exit status 1", retry at 2018-04-26T08:08:35Z`. Long texts
// are cut. Its form may change.
func (op *Op) String() string {
	var b strings.Builder
	b.WriteString(op.Kind.String())
	if op.Task != (Key{}) {
		b.WriteString(" task " + op.Task.String())
	}
	if op.NodeKind != 0 {
		b.WriteString(" " + op.NodeKind.String())
	}
	if op.Node != "" {
		b.WriteString(" node " + brief(op.Node))
	}
	if op.NodeKey != "" {
		b.WriteString(" node with key " + brief(op.NodeKey))
	}
	switch {
	case op.Parent != "":
		b.WriteString(" in " + brief(op.Parent))
	case op.ParentKey != "":
		b.WriteString(" in the one with key " + brief(op.ParentKey))
	}
	if op.Error != "" {
		b.WriteString(" with " + brief(op.Error))
	}
	say := func(ok bool, format string, args ...any) {
		if ok {
			fmt.Fprintf(&b, ", "+format, args...)
		}
	}
	say(op.Input != nil, "input of %s", op.Input)
	say(op.Output != nil, "output of %s", op.Output)
	say(op.Note != "", "waiting for %s", brief(op.Note))
	say(op.Key != "", "with key %s", brief(op.Key))
	say(op.Name != "", "named %s", brief(op.Name))
	say(len(op.After) > 0, "after %d nodes", len(op.After))
	say(op.From != "", "from %s", brief(op.From))
	say(op.Labels != (Labels{}), "%d labels", op.Labels.Len())
	say(len(op.Unlabel) > 0, "without %d labels", len(op.Unlabel))
	say(op.NoRetry, "no retry")
	say(op.NoSkip, "no skip")
	say(op.MaxLoops != 0, "at most %d loops", op.MaxLoops)
	say(op.State != 0, "is %s", op.State)
	say(op.Ignore, "ignored")
	say(op.Abandon, "abandoning the nodes below")
	say(op.Tolerate, "tolerating failures")
	say(op.RetryAt.IsSet(), "retry at %s", op.RetryAt)
	say(op.Version.IsSet(), "if version %s", op.Version)
	say(op.Loop != 0, "if loop %d", op.Loop)
	say(op.NewVersion.IsSet(), "new version %s", op.NewVersion)
	say(op.At.IsSet(), "at %s", op.At)
	say(op.Actor != "", "by %s", brief(op.Actor))
	say(op.Idempotent, "idempotent")
	return b.String()
}
