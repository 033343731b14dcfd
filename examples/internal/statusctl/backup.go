package statusctl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"

	"github.com/pipestatus/pipestatus/store/boltstore"
)

var backupCommand = command{
	name: "backup", args: "NEWFILE", summary: "copy the database into a new file",
	least: 1, most: 1,
	detail: `
NEWFILE appears when it is complete and on disk; an existing file is left
unchanged. It is a database like the original: to restore it, give it the
original's name while no process has the original open.`,
	bind: func(flags *flag.FlagSet) action {
		compact := flags.Bool("compact", false, "leave out all free room, which takes longer")
		return func(ctx context.Context, t *tool, args []string) error {
			return t.withFile(forReading, func(s *boltstore.Store) error { return backup(ctx, t, s, args[0], *compact) })
		}
	},
}

// copied is the answer to backup.
type copied struct {
	OK       bool   `json:"ok"`
	File     string `json:"file"`
	Bytes    int64  `json:"bytes"`
	Sequence uint64 `json:"sequence"` // of the last transition in it
}

func backup(ctx context.Context, t *tool, s *boltstore.Store, name string, compact bool) error {
	if name == "" {
		return &usageError{problem: "NEWFILE is empty"}
	}
	write := s.BackupTo
	if compact {
		write = s.CompactTo
	}
	stats, err := s.Stats(ctx)
	if err == nil {
		err = write(ctx, name)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is left unchanged: %w", name, fs.ErrExist)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if t.json {
		return writeLine(t.stdout, copied{true, name, info.Size(), stats.Last})
	}
	_, err = fmt.Fprintf(t.stdout, "copied %s to %s: %s, up to transition %d\n", t.db, name, byteCount(info.Size()), stats.Last)
	return err
}

var compactCommand = command{
	name: "compact", summary: "release the room of removed tasks",
	detail: `
Writes a new file next to the database, which replaces it once it is complete
and on disk. Until then there must be room for both. Where open files cannot be
replaced, as on Windows, it fails and changes nothing: use backup -compact.`,
	run: func(ctx context.Context, t *tool, _ []string) error {
		return t.withFile(forWriting, func(s *boltstore.Store) error { return compact(ctx, t, s) })
	},
}

// compacted is the answer to compact.
type compacted struct {
	OK     bool  `json:"ok"`
	Before int64 `json:"bytes_before"`
	After  int64 `json:"bytes"`
}

func compact(ctx context.Context, t *tool, s *boltstore.Store) error {
	before, err := s.Stats(ctx)
	if err == nil {
		err = s.Compact(ctx)
	}
	if err != nil {
		return err
	}
	after, err := s.Stats(ctx)
	if err != nil {
		return err
	}
	if t.json {
		return writeLine(t.stdout, compacted{true, before.Bytes, after.Bytes})
	}
	_, err = fmt.Fprintf(t.stdout, "compacted %s: %s, before %s\n", t.db, byteCount(after.Bytes), byteCount(before.Bytes))
	return err
}
