package pgstore

import (
	"crypto/rand"
	"fmt"
	"os"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/pipestatus/pipestatus/state"
)

// Options configure a store handle. A nil *Options and zero fields stand for
// the defaults.
type Options struct {
	// Schema is the database schema that holds the tables; several stores can
	// share a database. It is made if it does not exist. Default:
	// "pipestatus".
	Schema string
	// Partitions is into how many partitions by task a new store's large
	// tables are divided. It has no effect on one that exists. Default: none.
	Partitions int
	// Owner names this process in the table of leases. Opening a handle ends
	// the leases of an earlier one of the same name, so a process that is
	// started again under its old name finds its tasks at once instead of
	// after Lease; the name must therefore be of one process at a time.
	// Default: a random name, after the host and process.
	Owner string
	// Lease is how long this handle's tasks stay its own after the last
	// renewal; it is renewed after each third of that. Negative: the handle
	// takes no leases, for tools that run no tasks. Default: 30 seconds.
	Lease time.Duration
	// Recover is how long a call goes on trying while the database cannot be
	// reached, be it restarting or failing over, and how long a commit may
	// take; at most 12 hours. Negative: it does not try again, and finds out
	// only once what became of a commit. Default: 30 seconds.
	Recover time.Duration
	// Poll is after how long at most [Store.Changed] tells of other handles'
	// commits. Default: one second.
	Poll time.Duration
	// NoNotify turns LISTEN and NOTIFY off, which otherwise tell of commits
	// sooner: for databases that have neither, for poolers that share
	// sessions, and for fleets where every commit waking every watcher costs
	// more than polling.
	NoNotify bool
	// FeedTransitions is how many of the latest transitions the changes feed
	// keeps at least. Default: 1,000,000.
	FeedTransitions int64
}

// maxRecover is less than what commits leave behind is kept for.
const maxRecover = 12 * time.Hour

// maxSchema is how long a name may be before PostgreSQL cuts it.
const maxSchema = 63

func (o *Options) withDefaults() (Options, error) {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Partitions < 0 || d.Poll < 0 || d.FeedTransitions < 0 {
		return d, fmt.Errorf("%w: an option is negative", state.ErrInvalidArgument)
	}
	if d.Recover > maxRecover {
		return d, fmt.Errorf("%w: recovering for %v", state.ErrInvalidArgument, d.Recover)
	}
	if len(d.Schema) > maxSchema || !utf8.ValidString(d.Schema) {
		return d, fmt.Errorf("%w: schema %q", state.ErrInvalidArgument, d.Schema)
	}
	defaultTo(&d.Schema, "pipestatus")
	defaultTo(&d.Lease, 30*time.Second)
	defaultTo(&d.Recover, 30*time.Second)
	defaultTo(&d.Poll, time.Second)
	defaultTo(&d.FeedTransitions, 1_000_000)
	if d.Owner == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		d.Owner = fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text())
	}
	return d, nil
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// quotedSchema is the schema as SQL has it.
func (o *Options) quotedSchema() string { return pgx.Identifier{o.Schema}.Sanitize() }
