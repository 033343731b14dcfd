-- An index on the revision made each transition write an entry into every index
-- of tasks. A deleted task, which lists do not have, needs its number no more:
-- now it is the sequence of the delete.
DROP INDEX tasks_gone;
UPDATE tasks SET number = revision WHERE gone;
CREATE INDEX tasks_gone ON tasks (number) WHERE gone;
