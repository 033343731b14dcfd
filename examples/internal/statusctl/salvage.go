package statusctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pipestatus/pipestatus/store/boltstore"
)

var salvageCommand = command{
	name: "salvage", args: "NEWFILE", summary: "copy the readable parts of a damaged database into a new file",
	least: 1, most: 1,
	detail: `
The damaged file is only read. NEWFILE appears when it is complete and on disk; an
existing file is left unchanged. Check first whether there is a backup.

Unreadable parts are reported, page by page, then task by task. A task is copied
completely; or with all its nodes and attempts, but without its transitions; or
as of before the missing part. A pipeline that continues from there may repeat
steps. Exit code 1 if anything was reported.`,
	run: func(ctx context.Context, t *tool, args []string) error { return salvage(ctx, t, args[0]) },
}

// salvaged is the answer to salvage.
type salvaged struct {
	OK       bool `json:"ok"` // no problem was reported
	Problems int  `json:"problems"`
	Whole    int  `json:"whole"`
	Partly   int  `json:"partly"`
	Lost     int  `json:"lost"`
}

func salvage(ctx context.Context, t *tool, name string) error {
	if err := t.existingFile(); err != nil {
		return err
	}
	if name == "" {
		return &usageError{problem: "NEWFILE is empty"}
	}
	p := problems{tool: t}
	done, err := boltstore.Salvage(ctx, t.db, name, p.report)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is left unchanged: %w", name, fs.ErrExist)
	}
	if err != nil {
		return err
	}
	text := fmt.Sprintf("copied %s of %s to %s", count(done.Whole, "whole task"), t.db, name)
	if done.Partly+done.Lost > 0 {
		text += fmt.Sprintf(", %d in part; %d lost", done.Partly, done.Lost)
	}
	p.show(salvaged{p.n == 0, p.n, done.Whole, done.Partly, done.Lost}, text)
	return p.end()
}
