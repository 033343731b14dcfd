-- Times are seconds since the Unix epoch and nanoseconds: timestamptz has
-- neither the resolution nor, at both ends, the range. IDs of nodes are bytea:
-- a zero byte and 16 bytes for 32 lower-case hex digits, which halves the
-- largest index, else the length and the text. Columns called header,
-- declaration, progress and data are records that begin with the version of
-- their format; all that a query selects or sorts by is a separate column.

-- The sequences: one row. A commit raises last shortly before its end and delays all
-- others for that moment, see sql.go.
-- The feed of changes is transitions from first to last.
CREATE TABLE feed (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    first bigint NOT NULL,
    last  bigint NOT NULL,
    -- The history that the next sequence is of, if the table is still where it
    -- was, on a server that has not been started since. See sql.go.
    history uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    began   bigint      NOT NULL DEFAULT 0,
    started timestamptz NOT NULL DEFAULT '-infinity',
    path    text        NOT NULL DEFAULT ''
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
INSERT INTO feed (first, last) VALUES (1, 0);

-- All histories that led to what is here, each with the sequence after which it
-- began.
CREATE TABLE histories (
    id    uuid PRIMARY KEY,
    after bigint NOT NULL UNIQUE
);

-- Internal names of tasks and of store handles, never used again.
CREATE SEQUENCE task_ids;
CREATE SEQUENCE holder_ids;

-- The two tables of names, which have nothing but to be unique.
CREATE TABLE task_keys (
    business text COLLATE "C" NOT NULL,
    task     text COLLATE "C" NOT NULL,
    id       bigint NOT NULL,
    PRIMARY KEY (business, task)
);
CREATE TABLE node_ids (
    id   bytea PRIMARY KEY,
    task bigint NOT NULL,
    idx  integer NOT NULL
) /* partition node_ids */;

-- A row a task, and for as long as the feed has its transitions also one a
-- deleted task. Room is left so that a transition, which changes no indexed
-- column unless the task shows something else, needs no index entry.
CREATE TABLE tasks (
    id          bigint PRIMARY KEY,
    business    text COLLATE "C" NOT NULL,
    task        text COLLATE "C" NOT NULL,
    number      bigint NOT NULL,  -- sequence of the first transition: the order of lists
    revision    bigint NOT NULL,  -- and of the last
    shown       smallint NOT NULL,
    unfinished  boolean NOT NULL,
    recorded_s  bigint NOT NULL,
    recorded_ns integer NOT NULL,
    holder      bigint NOT NULL,  -- who has the lease, 0: nobody
    gone        boolean NOT NULL,
    header      bytea NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX tasks_number ON tasks (number) WHERE NOT gone;
CREATE INDEX tasks_business ON tasks (business, number) WHERE NOT gone;
CREATE INDEX tasks_shown ON tasks (shown, number) WHERE NOT gone;
CREATE INDEX tasks_recorded ON tasks (recorded_s, number) WHERE NOT gone;
CREATE INDEX tasks_unfinished ON tasks (number) WHERE unfinished AND NOT gone;
CREATE INDEX tasks_gone ON tasks (revision) WHERE gone;

-- All below belongs to one task and can be partitioned by it.
CREATE TABLE nodes (
    task        bigint NOT NULL,
    idx         integer NOT NULL,
    id          bytea NOT NULL,
    declaration bytea NOT NULL,
    progress    bytea NOT NULL,
    PRIMARY KEY (task, idx)
) /* partition nodes */;
CREATE TABLE attempts (
    task bigint NOT NULL,
    idx  integer NOT NULL,
    n    bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (task, idx, n)
) /* partition attempts */;
CREATE TABLE transitions (
    task bigint NOT NULL,
    seq  bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (task, seq)
) /* partition transitions */;
CREATE INDEX transitions_seq ON transitions (seq);

-- Store handles that hold leases. Renewing all of a handle's leases is one
-- update here. A handle without a row has none.
CREATE TABLE holders (
    id         bigint PRIMARY KEY,
    owner      text NOT NULL,
    superseded boolean NOT NULL DEFAULT false,
    expires    timestamptz NOT NULL
);

-- The latest commits of each handle, so that one whose answer got lost can be
-- found out about. A slot is used by one commit at a time. A base of -1 is a
-- commit that was forbidden to happen.
CREATE TABLE commits (
    holder bigint NOT NULL,
    slot   integer NOT NULL,
    n      bigint NOT NULL,
    base   bigint NOT NULL,
    at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (holder, slot)
) WITH (fillfactor = 50);
