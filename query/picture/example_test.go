package picture_test

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func ExampleAppendText() {
	ctx := context.Background()
	e, err := engine.Open(ctx, store.NewMemory(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	after := func(minutes int) engine.Option {
		return engine.At(time.Date(2026, 3, 1, 9, minutes, 0, 0, time.UTC))
	}
	_, err = e.Record(ctx,
		engine.Create("2", "10", engine.ID("root"), engine.Name("release 1.4"), after(0)),
		engine.Start("root", after(0)),
		engine.Declare("root", state.ServiceActivity, engine.ID("build"), engine.Name("build"), after(0)),
		engine.Start("build", after(0)),
		engine.Fail("build", "no space left on device", after(4)),
		engine.Retry("build", after(5)),
		engine.Start("build", after(5)),
		engine.Finish("build", after(12)),
		engine.Declare("root", state.ServiceActivity, engine.ID("deploy"), engine.Name("deploy"), after(12)),
		engine.Start("deploy", after(12)),
		engine.Fail("deploy", "dial db-7\nconnection refused", after(13)),
	)
	if err != nil {
		log.Fatal(err)
	}
	snap, err := query.New(e, nil).Snapshot(ctx, "2", "10")
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(picture.AppendText(nil, snap.Tree, snap.Index, &picture.Options{Location: time.UTC}))

	// Output:
	// Task 2/10, started 2026-03-01 09:00:00 +0000: 1 FAILED, 1 FINISHED
	// ✖ FAILED    release 1.4  13m 00s  root
	// ✔ FINISHED  ├─ build     7m 00s   build   retried
	// ✖ FAILED    └─ deploy    1m 00s   deploy  connection refused
}
