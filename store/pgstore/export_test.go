package pgstore

import (
	"context"
	"math"
	"time"
)

// BeforeWrite calls f between the round trips of each commit, while the tasks
// are locked. It must be set before the first use.
func (s *Store) BeforeWrite(f func()) { s.beforeWrite = f }

// ID is the handle's number.
func (s *Store) ID() int64 { return s.id }

// HoldFor is how long the handle claims tasks after a conflict.
func (s *Store) HoldFor(d time.Duration) { s.holdFor = d }

// IdleLimit is how long the server waits for the next round trip of a commit.
func (s *Store) IdleLimit(d time.Duration) { s.idleLimit = d }

// Recover is [Options.Recover] from now on. There must be no call in progress.
func (s *Store) Recover(d time.Duration) { s.opts.Recover = d }

// FeedTransitions is [Options.FeedTransitions] from now on. There must be no
// call in progress.
func (s *Store) FeedTransitions(n int64) { s.opts.FeedTransitions = n }

// TrimRows bounds the transitions that one transaction of a trim removes.
func (s *Store) TrimRows(n int) { s.trimRows = n }

// TrimOnce makes one transaction of a trim, and returns the number of removed
// transitions and whether more are left.
func (s *Store) TrimOnce(ctx context.Context) (removed int, more bool, err error) {
	return s.trimSome(ctx)
}

// SchemaVersion is the version of the tables.
const SchemaVersion = schemaVersion

// InTwoSteps makes all commits in two steps. It must be set before the first
// use.
func (s *Store) InTwoSteps() { s.inTwoSteps = true }

// WriteDurably makes a commit's transaction wait for the disk while it has the
// turn, to measure the cost of that. It is for handles with one writer.
func (s *Store) WriteDurably() { s.company.after = math.MinInt }

// Opts returns the options of the handle, including defaults.
func (s *Store) Opts() Options { return s.opts }

// AloneAfter is the number of commits in a row after which the handle assumes
// to be the only one that commits. No call may be in progress.
func (s *Store) AloneAfter(commits int) { s.company.after = commits }
