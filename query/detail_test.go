package query_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func TestANodeHasAllItsAttemptsWithTheirData(t *testing.T) {
	onEach(t, func(t *testing.T, e *engine.Engine) {
		in := engine.In("2", "10")
		record(
			t, e,
			engine.Create("2", "10", engine.ID("root"), engine.Input([]byte(`{"definition":1}`)), at(0)), engine.Start("", in, at(0)),
			engine.Declare("", state.ServiceActivity, engine.ID("n"), engine.Key("build"), in, at(0)),
			engine.Start("build", in, engine.Input([]byte(`"one"`)), at(1)),
			engine.Fail("build", "broke", in, engine.Output([]byte(`{"exit_code":2}`)), at(2)),
			engine.Retry("build", in, at(3)), engine.Start("build", in, engine.Input([]byte("\xff")), at(4)),
			engine.Finish("build", in, at(5)), engine.Loop("build", in, at(6)),
			engine.Create("3", "10", engine.ID("foreign"), at(0)),
		)
	}, func(t *testing.T, r store.Reader) {
		q := query.New(r, &options)
		for _, name := range []string{"n", "build"} {
			d, err := q.Node(t.Context(), "2", "10", name)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			attempts, err := collect(d.Attempts)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range attempts {
				got = append(got, fmt.Sprintf("%s loop=%d retry=%d %q %q %v", a.State, a.Loop, a.Retry, a.Input.Bytes(), a.Output.Bytes(), a.Current))
			}
			want := []string{
				`FAILED loop=1 retry=0 "\"one\"" "{\"exit_code\":2}" false`, `FINISHED loop=1 retry=1 "\xff" "" false`, `RUNNING loop=2 retry=1 "" "" true`,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			body, err := json.Marshal(attempts[1])
			var back map[string]any
			if err := errors.Join(err, json.Unmarshal(body, &back)); err != nil {
				t.Fatal(err)
			}
			if d.Status.ID != "n" || back["input_base64"] != "/w==" {
				t.Errorf("node %s, as JSON %s", d.Status.ID, body)
			}
		}
		for _, name := range []string{"root", ""} {
			root, err := q.Node(t.Context(), "2", "10", name)
			if err != nil {
				t.Fatal(err)
			}
			all, err := collect(root.Attempts)
			if err != nil || root.Status.ID != "root" || len(all) != 1 || string(all[0].Input.Bytes()) != `{"definition":1}` {
				t.Errorf("the root as %q: %+v, %v", name, all, err)
			}
		}
		for _, node := range []string{"foreign", "nothing"} {
			_, err := q.Node(t.Context(), "2", "10", node)
			var unknown *query.NotFoundError
			want := query.NotFoundError{Business: "2", Task: "10", Node: node}
			if !errors.Is(err, state.ErrNotFound) || !errors.As(err, &unknown) || *unknown != want || err.Error() != fmt.Sprintf(`task "10" of business "2" has no node %q`, node) {
				t.Errorf("%s: %v", node, err)
			}
		}
		if _, err := q.Node(t.Context(), "2", "11", ""); err == nil || err.Error() != `business "2" has no task or node "11"` {
			t.Errorf("an unknown task: %v", err)
		}
	})
}

// counting counts reads of attempts, and the most data in one of them.
type counting struct {
	store.Reader
	reads, largest int
}

func (c *counting) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
	page, err := c.Reader.Attempts(ctx, ref, q)
	c.reads++
	size := 0
	for i := range page {
		size += len(page[i].Input.Bytes()) + len(page[i].Output.Bytes())
	}
	c.largest = max(c.largest, size)
	return page, err
}

func TestDataOfManyAttemptsIsReadInPages(t *testing.T) {
	output := bytes.Repeat([]byte("x"), state.DefaultDataBytes)
	onEach(t, func(t *testing.T, e *engine.Engine) {
		record(t, e, engine.Create("2", "10", engine.ID("root")), engine.Start("root"),
			engine.Declare("root", state.ServiceActivity, engine.ID("n")), engine.Start("n"))
		for range 100 {
			record(t, e, engine.Finish("n", engine.Output(output)), engine.Loop("n"))
		}
	}, func(t *testing.T, r store.Reader) {
		c := &counting{Reader: r}
		q := query.New(c, &options)
		d, err := q.Node(t.Context(), "2", "10", "n")
		if err != nil {
			t.Fatal(err)
		}
		for what, seq := range map[string]iter.Seq2[query.Attempt, error]{"history": q.History(t.Context(), store.ByNode("n")), "node": d.Attempts} {
			*c = counting{Reader: r}
			n := 0
			for a, err := range seq {
				if err != nil {
					t.Fatal(err)
				}
				if n++; a.Loop != n || n <= 100 && !bytes.Equal(a.Output.Bytes(), output) {
					t.Fatalf("%s: attempt %d is of loop %d with %s", what, n, a.Loop, a.Output)
				}
			}
			if most := store.DataPage + len(output); n < 100 || c.largest > most || c.reads < 6 {
				t.Errorf("%s: %d attempts in %d reads, one with %d bytes, want %d at most", what, n, c.reads, c.largest, most)
			}
			*c = counting{Reader: r}
			for range seq {
				break
			}
			if c.reads != 1 {
				t.Errorf("%s: %d reads for one attempt", what, c.reads)
			}
		}
	})
}
