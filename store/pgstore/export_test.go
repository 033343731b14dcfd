package pgstore

import (
	"context"
	"math"
	"time"
)

// BeforeWrite has f called between the round trips of each commit, with the
// tasks locked. It must be set before the first use.
func (s *Store) BeforeWrite(f func()) { s.beforeWrite = f }

// ID is the handle's number.
func (s *Store) ID() int64 { return s.id }

// HoldFor is how long the handle claims tasks after a conflict.
func (s *Store) HoldFor(d time.Duration) { s.holdFor = d }

// Recover is [Options.Recover] from now on. There must be no call in progress.
func (s *Store) Recover(d time.Duration) { s.opts.Recover = d }

// FeedTransitions is [Options.FeedTransitions] from now on. There must be no
// call in progress.
func (s *Store) FeedTransitions(n int64) { s.opts.FeedTransitions = n }

// TrimRows bounds the transitions that one transaction of a trim removes.
func (s *Store) TrimRows(n int) { s.trimRows = n }

// TrimOnce is one transaction of a trim: what it has removed and whether more
// is left.
func (s *Store) TrimOnce(ctx context.Context) (removed int, more bool, err error) {
	return s.trimSome(ctx)
}

// SchemaVersion is the version of the tables.
const SchemaVersion = schemaVersion

// InTwoSteps has no commit be ordinary. It must be set before the first use.
func (s *Store) InTwoSteps() { s.inTwoSteps = true }

// WriteDurably has a commit's transaction wait for the disk itself, with the
// turn taken: what that costs is measured against it. It is for handles with one
// writer.
func (s *Store) WriteDurably() { s.company.after = math.MinInt }

// Opts is what the handle was opened with, defaults included.
func (s *Store) Opts() Options { return s.opts }

// AloneAfter is after how many commits in a row the handle takes itself for the
// only one that commits. There must be no call in progress.
func (s *Store) AloneAfter(commits int) { s.company.after = commits }
