// Package stories provides fixtures for the tests of query and of its pictures:
// example tasks and a clock.
package stories

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Shanghai is the zone of the specification's example, Noon the current time.
var (
	Shanghai = time.FixedZone("", 8*3600)
	Begin    = time.Date(2018, 4, 26, 16, 8, 34, 0, Shanghai)
	Noon     = Begin.Add(5 * time.Minute)
)

// At is sec seconds after the beginning of the stories.
func At(sec int) engine.Option { return engine.At(Begin.Add(time.Duration(sec) * time.Second)) }

// Clock is a recording clock that advances by a second each time.
func Clock() func() time.Time {
	now := Begin
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

// Golden compares got with a file in testdata, which it rewrites if asked to.
func Golden(t *testing.T, update bool, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", path, got, want)
	}
}

// Open opens an engine for a test.
func Open(t testing.TB, s store.Store, o *engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// Record records operations, each on its own so that each has a time.
func Record(t testing.TB, e *engine.Engine, ops ...engine.Op) {
	t.Helper()
	for _, op := range ops {
		if _, err := e.Record(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
}

// Version is the n-th version.
func Version(n int) string { return fmt.Sprintf("%032x", n) }

// Documented is the story of the specification's example.
func Documented(t *testing.T, e *engine.Engine) {
	const root, start, activity = "5a1622f9f43e3429acb604e18dbd100a", "62d4784e20483f1585149ce90ed954c9", "e8b128dff46637368b9b1bd921abc14e"
	Record(
		t, e,
		engine.Create("2", "10", engine.ID(root), At(0)),
		engine.Start(root, At(0)),
		engine.Declare(root, state.StartEvent, engine.ID(start), engine.NewVersion("7447cc2801b630f497768493c02fb488"), At(0)),
		engine.Start(start, At(0)),
		engine.Finish(start, At(0)),
		engine.Declare(root, state.ServiceActivity, engine.ID(activity), engine.NewVersion("914d35fe7d143c2186e6d3532870b37d"), At(0)),
		engine.Start(activity, At(0)),
		engine.Fail(activity, "exit status 1", At(12)),
		// Another business, which no answer may mention.
		engine.Create("3", "77", engine.ID("foreign"), At(0)),
	)
}

// Various has a value for every field.
func Various(t *testing.T, e *engine.Engine) {
	v := func(n int) engine.Option { return engine.NewVersion(Version(n)) }
	id := engine.ID
	Record(
		t, e,
		engine.Create("2", "11", id("root"), engine.Name("deploy <web> & \"db\""), At(0)),
		engine.Declare("root", state.StartEvent, id("start"), v(1), At(0)),
		engine.Declare("root", state.Subprocess, id("sub"), engine.Name("构建"), v(2), At(0)),
		engine.Declare("root", state.ConvergeGateway, id("later"), v(3), At(1)),
		engine.Start("root", At(1)), engine.Start("start", At(1)), engine.Finish("start", At(1)),
		engine.Start("sub", At(2)),
		engine.Declare("sub", state.ServiceActivity, id("flaky"), v(4), At(3)),
		engine.Start("flaky", At(3)), engine.Fail("flaky", "timed out\nafter 5s", At(8)),
		engine.Retry("flaky", v(5), At(20)), engine.Start("flaky", At(20)),
		engine.Fail("flaky", "refused: <nil>", engine.RetryAt(Begin.Add(time.Hour)), At(21)),
		engine.Declare("sub", state.ServiceActivity, id("skipped"), v(6), At(3)),
		engine.Start("skipped", At(3)), engine.Fail("skipped", "no space left", At(5)), engine.Skip("skipped", v(7), At(30)),
		engine.Declare("sub", state.ServiceActivity, id("looping"), v(8), At(3)),
		engine.Start("looping", At(3)), engine.Fail("looping", "ignored", engine.Ignore(), At(4)),
		engine.Loop("looping", v(9), At(40)),
		engine.Declare("sub", state.ServiceActivity, id("ignored"), v(10), At(3)),
		engine.Start("ignored", At(3)), engine.Fail("ignored", "may fail", engine.Ignore(), At(4)),
		engine.Declare("root", state.ServiceActivity, id("broken"), engine.Name("notify"), v(11), At(3)),
		engine.Start("broken", At(3)), engine.Fail("broken", "no such \"channel\"", At(3)),
		engine.Declare("root", state.ServiceActivity, id("paused"), v(12), At(3)), engine.Suspend("paused", At(50)),
		engine.Declare("root", state.Subprocess, id("stopped"), v(13), At(3)), engine.Start("stopped", At(4)), engine.Revoke("stopped", At(60)),
	)
}

// WellFormed fails the test unless a document is XML, and counts its elements.
func WellFormed(t *testing.T, svg []byte) (elements map[string]int) {
	t.Helper()
	elements = make(map[string]int)
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements
		}
		if err != nil {
			t.Fatalf("not well formed: %v\n%s", err, svg)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
		}
	}
}

// Flow records a task whose nodes have keys and edges: build, then test,
// then build again, while ship waits. One node has a key that is the ID of
// another, and one has none.
func Flow(t testing.TB, e *engine.Engine) {
	in := engine.In("2", "flow")
	step := func(key string, opts ...engine.Option) engine.Op {
		opts = append([]engine.Option{in, engine.ID("id-" + key), engine.Key(key), engine.Name(key), At(0)}, opts...)
		return engine.Declare("", state.ServiceActivity, opts...)
	}
	Record(
		t, e,
		engine.Create("2", "flow", engine.ID("root"), engine.Labels(map[string]string{"env": "prod", "a": ""}), At(0)),
		engine.Start("", in, At(0)),
		step("build"), step("test", engine.After("build")), step("ship", engine.After("build", "id-test")),
		engine.Declare("", state.ServiceActivity, in, engine.ID("odd"), engine.Key("id-ship"), At(0)),
		engine.Declare("", state.ServiceActivity, in, engine.ID("plain"), At(0)),
		engine.Start("build", in, At(1)), engine.Finish("build", in, At(2)),
		engine.Start("test", in, engine.From("build"), At(2)), engine.Fail("test", "flaky", engine.Ignore(), in, At(3)),
		engine.Loop("build", in, engine.From("test"), At(3)),
		engine.Suspend("ship", in, engine.Note("waits for <QA>"), At(4)),
		engine.Start("plain", At(4)), engine.Fail("plain", "broke", At(5)),
		engine.Start("id-ship", in, At(5)), engine.Fail("id-ship", "odd", in, At(5)),
	)
}
