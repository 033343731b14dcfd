package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
)

// Helpers of the examples.

func check(err error) {
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example is a program
	}
}

// exampleEngine is an engine on an empty store in memory.
func exampleEngine() (e *engine.Engine, done func()) {
	s := store.NewMemory()
	e, err := engine.Open(context.Background(), s, &engine.Options{Now: ticking(), NewID: counting()})
	check(err)
	return e, func() {
		check(e.Close())
		check(s.Close())
	}
}

// printStates prints the nodes of task 10 of business 2 in the order of
// creation.
func printStates(e *engine.Engine) {
	snap, err := e.Load(context.Background(), store.ByKey("2", "10"))
	check(err)
	for i := range snap.Tree.Len() {
		n := snap.Tree.Node(i)
		fmt.Fprintf(os.Stdout, "%s %s, retry %d\n", n.ID, snap.Tree.Shown(i), n.Retry())
	}
}

func indent(text []byte) string {
	var b bytes.Buffer
	check(json.Indent(&b, text, "", "  "))
	return b.String()
}
