package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/pipestatus/pipestatus/store/boltstore"
)

var checkCommand = command{
	name: "check", summary: "read the whole file and report what does not fit together",
	detail: `
Repairs nothing. A damaged file keeps what can still be read: see export.`,
	bind: func(*flag.FlagSet) func(context.Context, *tool, []string) error {
		return check
	},
}

type checkProblem struct {
	Problem string `json:"problem"`
}

type checkResult struct {
	OK       bool `json:"ok"`
	Problems int  `json:"problems"`
}

func check(ctx context.Context, t *tool, _ []string) error {
	return t.maintain(func(s *boltstore.Store) error { return examine(ctx, t, s) })
}

func examine(ctx context.Context, t *tool, s *boltstore.Store) error {
	problems := 0
	var writeErr error
	show := func(v any, text string) {
		if writeErr != nil {
			return
		}
		if t.json {
			writeErr = writeLine(t.stdout, v)
			return
		}
		_, writeErr = fmt.Fprintln(t.stdout, text)
	}
	err := s.Check(ctx, func(problem string) {
		problems++
		show(checkProblem{problem}, printable(problem))
	})
	switch {
	case err != nil:
		return err
	case problems > 0:
		show(checkResult{false, problems}, fmt.Sprintf("%s is damaged: %d problems", t.db, problems))
		if writeErr == nil {
			return errAnswered
		}
	default:
		show(checkResult{true, 0}, t.db+" is sound")
	}
	return writeErr
}
