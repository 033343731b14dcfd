package engine_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestInputsAndOutputsBelongToTheirAttempts(t *testing.T) {
	e := onStore(t, store.NewMemory(), engine.Options{Limits: state.Limits{DataBytes: 100}})
	ctx := t.Context()
	do := func(_ engine.Result, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := engine.In("2", "10")
	do(e.Create(ctx, "2", "10", engine.Input([]byte("definition"))))
	do(e.Start(ctx, "", in))
	do(e.Enter(ctx, "", state.ServiceActivity, in, engine.Key("build"), engine.Input([]byte("first"))))
	do(e.Fail(ctx, "build", "exit status 1", in, engine.Output([]byte{})))
	do(e.Begin(ctx, "", state.ServiceActivity, in, engine.Key("build"), engine.Input([]byte("second"))))
	do(e.Report(ctx, "build", state.Finished, in, engine.Output(bytes.Repeat([]byte("x"), 100))))
	if _, err := e.Begin(ctx, "", state.ServiceActivity, in, engine.Key("build"), engine.Input(make([]byte, 101))); !errors.Is(err, state.ErrInvalidArgument) || !strings.Contains(err.Error(), "101 bytes") {
		t.Errorf("an input that is too long: %v", err)
	}
	var got []string
	page, err := e.Attempts(ctx, store.ByNodeKey("2", "10", "build"), store.AttemptQuery{Data: true})
	for _, a := range page {
		got = append(got, string(a.Input.Bytes()), string(a.Output.Bytes()))
	}
	if want := "first||second|" + strings.Repeat("x", 100); err != nil || strings.Join(got, "|") != want || !page[1].Current {
		t.Errorf("attempts have %q, %v, want %q", got, err, want)
	}
	input, output, err := store.AttemptData(ctx, e, store.ByKey("2", "10"), 1)
	if err != nil || string(input.Bytes()) != "definition" || output != nil {
		t.Errorf("the task has %s and %s, %v", input, output, err)
	}
	for _, ref := range []store.Ref{store.ByNodeKey("2", "10", "none"), store.ByNode("none")} {
		if _, err := e.Attempts(ctx, ref, store.AttemptQuery{}); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestDataCountsInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &storetest.Wrapper{Store: store.NewMemory()}
		f := onStore(t, s, engine.Options{MaxQueued: 50})
		hold := make(chan struct{})
		s.BeforeCommit = func(context.Context, []store.Write) error {
			<-hold
			return nil
		}
		create := func(task string, bytes int) *engine.Pending {
			return f.Submit(engine.Create("2", task, engine.Input(make([]byte, bytes))))
		}
		taken := []*engine.Pending{create("0", 60_000)}
		synctest.Wait() // until its commit runs
		taken = append(taken, create("1", 40_000))
		if _, err := create("2", 20_000).Wait(f.ctx); !errors.Is(err, engine.ErrQueueFull) {
			t.Errorf("20 KB more than the queue takes: %v", err)
		}
		taken = append(taken, create("3", 1))
		close(hold)
		for _, p := range taken {
			if _, err := p.Wait(f.ctx); err != nil {
				t.Error(err)
			}
		}
	})
}
