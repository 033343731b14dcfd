-- Records may tell what began a superseded attempt, that a reset took a node
-- along, and how many automatic retries are pending. Those of version 1 stay as
-- they are: the tables do not change, but programs that only know version 1
-- could not read the new records.
SELECT 1;
