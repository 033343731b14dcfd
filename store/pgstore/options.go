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
	// Partitions is the number of partitions (by task) of a new store's large
	// tables. It has no effect on an existing store. Default: no partitions.
	Partitions int
	// Owner names this process in the table of leases. Opening a handle ends
	// the leases of an earlier one with the same name. A process that is
	// restarted under its old name can therefore continue its tasks at once
	// instead of after Lease. Only one process at a time may have the name.
	// Default: a random name, after the host and process.
	Owner string
	// Lease is the duration of this handle's leases after the last renewal; they
	// are renewed after each third of it. Negative: the handle takes no leases,
	// for tools that run no tasks. Default: [DefaultLease].
	Lease time.Duration
	// Recover is how long a call retries while the database cannot be reached,
	// for example during a restart or failover, and how long a commit may take;
	// at most 12 hours. Negative: calls do not retry, and check the outcome of a
	// commit only once. Default: 30 seconds.
	Recover time.Duration
	// Poll is the longest delay until [Store.Changed] reports other handles'
	// commits. Default: one second.
	Poll time.Duration
	// NoNotify turns LISTEN and NOTIFY off, which report commits sooner: for
	// databases without them, for poolers that share sessions, and for fleets
	// where waking every watcher for every commit costs more than polling.
	NoNotify bool
	// FeedTransitions is the least number of latest transitions that the feed
	// keeps. Default: 1,000,000.
	FeedTransitions int64
}

// DefaultLease is the duration of leases unless [Options] have another one.
const DefaultLease = 30 * time.Second

// maxRecover is less than the time for which tokens of commits are kept.
const maxRecover = 12 * time.Hour

// maxSchema is the length at which PostgreSQL cuts names.
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
	defaultTo(&d.Lease, DefaultLease)
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

// quotedSchema is the schema in SQL.
func (o *Options) quotedSchema() string { return pgx.Identifier{o.Schema}.Sanitize() }
