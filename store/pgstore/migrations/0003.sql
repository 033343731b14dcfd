-- Lists by name, by failures and by label. The program fills the columns of the
-- tasks that there are. Records may have labels, keys, edges, notes and data.
ALTER TABLE tasks
    ADD COLUMN name     bytea   NOT NULL DEFAULT '', -- text may not have every character
    ADD COLUMN failures boolean NOT NULL DEFAULT false;
CREATE INDEX tasks_name ON tasks (name, number) WHERE NOT gone;
CREATE INDEX tasks_failures ON tasks (number) WHERE failures AND NOT gone;

-- A row a label of a task that is not deleted.
CREATE TABLE labels (
    key    bytea  NOT NULL,
    value  bytea  NOT NULL,
    number bigint NOT NULL, -- of the task: the order of lists
    task   bigint NOT NULL,
    PRIMARY KEY (key, value, number)
);

-- Inputs and outputs of attempts, each once. Transitions name them by size and
-- digest.
CREATE TABLE data (
    task   bigint   NOT NULL,
    idx    integer  NOT NULL,
    n      bigint   NOT NULL, -- number of the attempt
    what   smallint NOT NULL, -- 0: input, 1: output
    digest bytea    NOT NULL,
    bytes  bytea    NOT NULL,
    PRIMARY KEY (task, idx, n, what)
) /* partition data */;
