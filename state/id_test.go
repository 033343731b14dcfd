package state_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/state"
)

func TestHexIDsArePackedAndUnpacked(t *testing.T) {
	var id [16]byte
	for b := range 256 {
		for i := range id {
			id[i] = byte(b + 11*i)
		}
		text := string(state.AppendHexID([]byte("x"), id))
		if want := "x" + hex.EncodeToString(id[:]); text != want {
			t.Fatalf("%v is written %s, want %s", id, text, want)
		}
		if packed, ok := state.ParseHexID(text[1:]); !ok || packed != id {
			t.Fatalf("%s is packed as %v, %t", text[1:], packed, ok)
		}
	}
}

func TestIDsAre1To128BytesOfUTF8WithoutControlCharacters(t *testing.T) {
	for _, c := range []struct {
		name, id string
		ok       bool
	}{
		{"one byte", "a", true},
		{"128 bytes", strings.Repeat("x", 128), true},
		{"128 bytes in runes of two", strings.Repeat("é", 64), true},
		{"a space", " ", true},
		{"any script and punctuation", "Zürich/东京 #1 <ok>", true},
		{"the replacement character itself", "\uFFFD", true},
		{"a no-break space, the first after the control characters", "\u00a0", true},
		{"a tilde, the last before them", "~", true},
		{"empty", "", false},
		{"129 bytes", strings.Repeat("x", 129), false},
		{"129 bytes in 65 runes", strings.Repeat("é", 64) + "x", false},
		{"NUL", "\x00", false},
		{"a newline", "a\nb", false},
		{"the last of the C0 controls", "a\x1f", false},
		{"delete", "\x7f", false},
		{"the first of the C1 controls", "\u0080", false},
		{"the last of the C1 controls", "\u009f", false},
		{"a stray byte", "a\xff", false},
		{"half a rune", "é"[:1], false},
		{"a surrogate", "\xed\xa0\x80", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := state.CheckID("ID", c.id); (err == nil) != c.ok || err != nil && !errors.Is(err, state.ErrInvalidArgument) {
				t.Errorf("%v", err)
			}
			var want error
			if !c.ok {
				want = state.ErrInvalidArgument
			}
			tree := treeOf(t, pipeline(state.Created))
			for what, op := range map[string]state.Op{
				"business":      create("r", func(op *state.Op) { op.Task.Business = c.id }),
				"task":          create("r", func(op *state.Op) { op.Task.Task = c.id }),
				"root":          create(c.id),
				"declared node": declare("root", c.id),
				"parent":        declare(c.id, "a"),
				"node":          on(state.Start, c.id),
				"actor":         on(state.Start, "root", func(op *state.Op) { op.Actor = c.id }),
			} {
				if what == "actor" && (c.id == "" || len(c.id) > state.MaxIDBytes) {
					continue // no actor, or an allowed one
				}
				if err := op.Validate(); !errors.Is(err, want) {
					t.Errorf("%s: %v", what, err)
				}
				if _, _, err := tree.Apply(state.Limits{}, op); !c.ok {
					refusedWith(t, err, want)
				}
			}
		})
	}
}

func TestActorsAreUpTo255Bytes(t *testing.T) {
	tree := treeOf(t, pipeline(state.Created))
	for actor, want := range map[string]error{
		strings.Repeat("x", 255):       nil,
		strings.Repeat("é", 127) + "x": nil,
		strings.Repeat("x", 256):       state.ErrInvalidArgument,
	} {
		_, _, err := tree.Apply(state.Limits{}, on(state.Start, "root", func(op *state.Op) { op.Actor = actor }))
		refusedWith(t, err, want)
	}
	if err := state.CheckActor(""); err != nil {
		t.Errorf("nobody: %v", err)
	}
}

func TestNamesAreCutAndMadeUTF8(t *testing.T) {
	const mark = "… [cut]"
	full := strings.Repeat("x", state.MaxNameBytes)
	room := state.MaxNameBytes - len(mark)
	for _, c := range []struct{ what, name, want string }{
		{"as long as it may be", full, full},
		{"two lines", "a name\nof two lines", "a name\nof two lines"},
		{"a byte too long", full + "y", full[:room] + mark},
		{"ten mebibytes", strings.Repeat("x", 10<<20), full[:room] + mark},
		{"cut in the middle of a rune", full[:room-1] + "é" + full, full[:room-1] + mark},
		{"invalid UTF-8", "a\xff", "a\uFFFD"},
		{"invalid UTF-8 that grows beyond the limit", strings.Repeat("\xff", 400), strings.Repeat("\uFFFD", room/3) + mark},
	} {
		t.Run(c.what, func(t *testing.T) {
			tree, _ := apply(t, state.NewTree(key), create("r", named(c.name)), declare("r", "a", named(c.name)))
			for _, id := range []string{"r", "a"} {
				if got := node(t, tree, id).Name; got != c.want || got != state.CutName(c.name) || state.CutName(got) != got {
					t.Errorf("%d bytes …%q, want %d bytes …%q", len(got), tail(got), len(c.want), tail(c.want))
				}
			}
			// The uncut name still recognizes a repeat.
			_, outcomes, err := tree.Apply(state.Limits{},
				create("r", named(c.name), idempotent), declare("r", "a", named(c.name), idempotent))
			if err != nil || outcomes[0].Transition != nil || outcomes[1].Transition != nil {
				t.Errorf("a repeat is not recognized: %v", err)
			}
		})
	}
}

func TestAFieldThatDoesNotApplyIsRefused(t *testing.T) {
	beyond32 := int64(1) << 31 // negative as an int of 32 bits, which is also refused
	all := map[state.OpKind]state.Op{state.Create: create("n"), state.Declare: declare("p", "n")}
	for _, kind := range onExisting {
		all[kind] = on(kind, "n")
	}
	kinds := func(kinds ...state.OpKind) map[state.OpKind]bool {
		m := map[state.OpKind]bool{}
		for _, k := range kinds {
			m[k] = true
		}
		return m
	}
	others := kinds(onExisting...)
	everywhere := kinds(append(onExisting, state.Create, state.Declare)...)
	versioned := kinds(onExisting...)
	delete(versioned, state.Reopen)
	for _, c := range []struct {
		field string
		set   func(*state.Op)
		ok    map[state.OpKind]bool
	}{
		{"task", func(op *state.Op) { op.Task = key }, kinds(state.Create, state.Reopen)},
		{"no task", func(op *state.Op) { op.Task = state.Key{} }, kinds(state.Declare)},
		{"parent", func(op *state.Op) { op.Parent = "p" }, kinds(state.Declare)},
		{"kind", asSubprocess, kinds(state.Declare)},
		{"kind pipeline", func(op *state.Op) { op.NodeKind = state.Pipeline }, nil},
		{"kind unknown", func(op *state.Op) { op.NodeKind = end(state.Pipeline) }, nil},
		{"name", named("x"), kinds(state.Create, state.Declare)},
		{"no retry", func(op *state.Op) { op.NoRetry = true }, kinds(state.Declare)},
		{"no skip", func(op *state.Op) { op.NoSkip = true }, kinds(state.Declare)},
		{"loop limit", func(op *state.Op) { op.MaxLoops = 1 }, kinds(state.Declare)},
		{"the largest loop limit", func(op *state.Op) { op.MaxLoops = 1<<31 - 1 }, kinds(state.Declare)},
		{"a loop limit beyond it", func(op *state.Op) { op.MaxLoops = int(beyond32) }, nil},
		{"a negative loop limit", func(op *state.Op) { op.MaxLoops = -1 }, nil},
		{"error", texted("x"), kinds(state.Fail, state.Revoke)},
		{"ignore", ignore, kinds(state.Fail)},
		{"abandon", abandon, kinds(state.Fail)},
		{"tolerate", tolerate, kinds(state.Finish)},
		{"retry at", retryAt, kinds(state.Fail)},
		{"version", basedOn(1), versioned},
		{"loop", onLoop(1), others},
		{"the largest loop", onLoop(1<<31 - 1), others},
		{"a loop beyond it", onLoop(int(beyond32)), nil},
		{"a negative loop", onLoop(-1), nil},
		{"new version", func(op *state.Op) { op.NewVersion = v(1) }, kinds(state.Declare, state.Retry, state.Skip, state.Loop, state.Reset)},
		{"time", given(at(1)), everywhere},
		{"actor", func(op *state.Op) { op.Actor = "x" }, everywhere},
		{"idempotent", idempotent, everywhere},
	} {
		for kind, op := range all {
			c.set(&op)
			want := state.ErrInvalidArgument
			if c.ok[kind] || c.field == "no task" && kind != state.Create && kind != state.Reopen {
				want = nil
			}
			if err := op.Validate(); !errors.Is(err, want) {
				t.Errorf("%s with %s: %v", kind, c.field, err)
			}
		}
	}
	for _, kind := range []state.OpKind{0, state.Delete, end(state.Create)} {
		op := state.Op{Kind: kind, Node: "n", Now: now}
		if err := op.Validate(); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%s is applied: %v", kind, err)
		}
	}
	reopen := all[state.Reopen]
	reopen.Node = "root"
	if err := reopen.Validate(); !errors.Is(err, state.ErrInvalidArgument) {
		t.Errorf("reopen of a node: %v", err)
	}
	for _, kind := range []state.OpKind{state.Declare, state.Retry, state.Skip, state.Loop, state.Reset} {
		op := all[kind]
		op.NewVersion = state.Version{}
		if err := op.Validate(); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%s without a new version: %v", kind, err)
		}
	}
}

func TestErrorTextsAreCutAndMadeUTF8(t *testing.T) {
	const mark = "… [cut] …"
	const room = state.MaxErrorBytes - len(mark)
	const head, last = room / 2, room - room/2
	full := strings.Repeat("x", state.MaxErrorBytes)
	ends := strings.Repeat("z", state.MaxErrorBytes)
	unknown := strings.Repeat("\uFFFD", state.MaxErrorBytes)
	for _, c := range []struct{ name, text, want string }{
		{"short", "no such host\n\ttry again", "no such host\n\ttry again"},
		{"none", "", ""},
		{"as long as it may be", full, full},
		{"a byte too long keeps beginning and end", full + "y", full[:head] + mark + full[:last-1] + "y"},
		{"a mebibyte", strings.Repeat("x", 1<<20) + ends, full[:head] + mark + ends[:last]},
		{
			"cut in the middle of a rune: the rune goes",
			full[:head-1] + "é" + full + "é" + ends[:last-1], full[:head-1] + mark + ends[:last-1],
		},
		{
			"cut between runes: they stay",
			full[:head-2] + "é" + full + "é" + ends[:last-2], full[:head-2] + "é" + mark + "é" + ends[:last-2],
		},
		{"invalid UTF-8", "a\xffb", "a\uFFFDb"},
		{
			"invalid UTF-8 that grows beyond the limit",
			strings.Repeat("\xff", state.MaxErrorBytes/2), unknown[:head/3*3] + mark + unknown[:last/3*3],
		},
		{"a mebibyte of invalid UTF-8", strings.Repeat("\xff", 1<<20), unknown[:head/3*3] + mark + unknown[:last/3*3]},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, _ := apply(t, treeOf(t, pipeline(state.Running, act("a", state.Running))),
				on(state.Fail, "a", func(op *state.Op) { op.Error = c.text }))
			got := node(t, tree, "a").Error
			if got != c.want || got != state.CutError(c.text) {
				t.Errorf("%d bytes …%q, want %d bytes …%q", len(got), tail(got), len(c.want), tail(c.want))
			}
			if len(got) > state.MaxErrorBytes || !utf8.ValidString(got) || state.CutError(got) != got {
				t.Errorf("%d bytes, not a text to keep", len(got))
			}
		})
	}
}

func tail(s string) string { return s[max(0, len(s)-20):] }

func TestVersionsAre32LowerCaseHexDigits(t *testing.T) {
	const good = "7447cc2801b630f497768493c02fb488"
	version, err := state.ParseVersion(good)
	if err != nil || version.String() != good || !version.IsSet() || state.VersionOf(version.Bytes()) != version {
		t.Errorf("%s: %v", version, err)
	}
	if text, err := version.AppendText([]byte("v ")); string(text) != "v "+good || err != nil {
		t.Errorf("%s, %v", text, err)
	}
	none, err := state.ParseVersion("")
	if text, _ := none.AppendText(nil); err != nil || none.IsSet() || none.String() != "" || len(text) > 0 {
		t.Errorf("no version is %q: %v", none, err)
	}
	zero, err := state.ParseVersion(strings.Repeat("0", 32))
	if err != nil || !zero.IsSet() || zero == none || zero.String() != strings.Repeat("0", 32) {
		t.Errorf("32 zeros are a version: %q, %v", zero, err)
	}
	for _, bad := range []string{good[:31], good + "0", strings.ToUpper(good), "g" + good[1:], good[:31] + "é", " " + good[1:]} {
		if _, err := state.ParseVersion(bad); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%q: %v", bad, err)
		}
		if _, ok := state.ParseHexID(bad); ok {
			t.Errorf("%q is a hex ID", bad)
		}
	}
}

func TestNamesOfKindsStatesAndOperations(t *testing.T) {
	for i := range 256 {
		k, s, o := state.Kind(i), state.State(i), state.OpKind(i)
		if got, err := state.ParseKind(k.String()); k.Valid() != (err == nil) || k.Valid() && got != k {
			t.Errorf("kind %s: %s, %v", k, got, err)
		}
		if got, err := state.ParseState(s.String()); s.Valid() != (err == nil) || s.Valid() && got != s {
			t.Errorf("state %s: %s, %v", s, got, err)
		}
		if got, err := state.ParseOpKind(o.String()); o.Valid() != (err == nil) || o.Valid() && got != o {
			t.Errorf("operation %s: %s, %v", o, got, err)
		}
		if (k.Class() == "") == k.Valid() {
			t.Errorf("kind %s has the class %q", k, k.Class())
		}
	}
	for _, err := range []error{second(state.ParseKind("")), second(state.ParseState("running")), second(state.ParseOpKind("FAIL"))} {
		if !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestKindsHaveTheClassStringsOfTheSpecification(t *testing.T) {
	for kind, want := range map[state.Kind]string{
		state.Pipeline:                   "<class 'pipeline.core.pipeline.Pipeline'>",
		state.Subprocess:                 "<class 'pipeline.core.flow.activity.SubProcess'>",
		state.StartEvent:                 "<class 'pipeline.core.flow.event.EmptyStartEvent'>",
		state.EndEvent:                   "<class 'pipeline.core.flow.event.EmptyEndEvent'>",
		state.ServiceActivity:            "<class 'pipeline.core.flow.activity.ServiceActivity'>",
		state.ExclusiveGateway:           "<class 'pipeline.core.flow.gateway.ExclusiveGateway'>",
		state.ParallelGateway:            "<class 'pipeline.core.flow.gateway.ParallelGateway'>",
		state.ConditionalParallelGateway: "<class 'pipeline.core.flow.gateway.ConditionalParallelGateway'>",
		state.ConvergeGateway:            "<class 'pipeline.core.flow.gateway.ConvergeGateway'>",
	} {
		n := state.Node{Kind: kind}
		if n.DisplayName() != want || kind.Container() != (kind <= state.Subprocess) {
			t.Errorf("%s shows %q, container %t", kind, n.DisplayName(), kind.Container())
		}
	}
	if n := (state.Node{Kind: state.Pipeline, Declaration: state.Declaration{Name: "deploy"}}); n.DisplayName() != "deploy" {
		t.Errorf("a name shows as %q", n.DisplayName())
	}
}

func TestRetryOnTheWireIsRetriesAndSkips(t *testing.T) {
	if a := (state.Attempt{Retries: 2, Skips: 3}); a.Retry() != 5 {
		t.Errorf("%d", a.Retry())
	}
}

func TestKeysNameTheirIDs(t *testing.T) {
	if got := fmt.Sprint(key); got != `"2"/"10"` {
		t.Errorf("%s", got)
	}
}
