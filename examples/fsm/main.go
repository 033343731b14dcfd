// Fsm shows how to record the work of another library: a machine of looplab/fsm
// takes an order through its states, goes back to one, fails in one, and continues
// after its process has ended.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/looplab/fsm"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// order is the machine. Such libraries keep the state themselves; here it is in
// memory, which stands for the program's database.
func order(in string, r record) *fsm.FSM {
	return fsm.NewFSM(in, fsm.Events{
		{Name: "paid", Src: []string{"paying"}, Dst: "packing"},
		{Name: "packed", Src: []string{"packing"}, Dst: "shipping"},
		{Name: "returned", Src: []string{"shipping"}, Dst: "packing"},
	}, r.callbacks())
}

func run(ctx context.Context, out io.Writer) error {
	s := store.NewMemory()
	defer s.Close()
	e, err := engine.Open(ctx, s, nil)
	if err != nil {
		return err
	}
	defer e.Close()
	r := record{e, "order-7"}
	if _, err := e.Record(ctx,
		engine.Create("shop", "7", engine.ID(r.root), engine.Name("order 7")), engine.Start(r.root),
	); err != nil {
		return err
	}
	m := order("paying", r)
	if err := errors.Join(
		r.begin(ctx, "paying"),
		m.Event(ctx, "paid"), m.Event(ctx, "packed"), m.Event(ctx, "returned"), m.Event(ctx, "packed"),
		r.report(ctx, "shipping", state.Failed, "no such address"),
	); err != nil {
		return err
	}
	if err := show(ctx, out, e, "shipping failed"); err != nil {
		return err
	}

	// A person corrects the address. The process dies during the shipping, and
	// the next process begins at the machine's state.
	if err := r.begin(ctx, "shipping"); err != nil {
		return err
	}
	m = order(m.Current(), r)
	if err := errors.Join(r.begin(ctx, m.Current()), r.report(ctx, m.Current(), state.Finished, "")); err != nil {
		return err
	}
	if _, err := e.Finish(ctx, r.root); err != nil {
		return err
	}
	return show(ctx, out, e, "done")
}

func show(ctx context.Context, out io.Writer, e *engine.Engine, when string) error {
	snap, err := e.Load(ctx, store.ByKey("shop", "7"))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: order 7 is %s\n", when, snap.Tree.Shown(0))
	for i := range snap.Tree.Children(0) {
		n := snap.Tree.Node(i)
		fmt.Fprintf(out, "  %s %s, pass %d, %d retries%s\n", n.Name, n.State, n.Loop, n.Retries, because(n.Error))
	}
	return nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
