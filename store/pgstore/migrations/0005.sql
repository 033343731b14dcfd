-- The commit of one task, in one call: see move.go. A statement for each table
-- costs the server less than one statement with a part for each table, and the
-- call can end its transaction itself, so that the turn lasts no longer than the
-- writes that need it.
CREATE OR REPLACE PROCEDURE move_task(
    the_task bigint, old_revision bigint, the_holder bigint,
    new_shown smallint, new_unfinished boolean, new_failures boolean, new_header bytea,
    -- A node that is declared, or nulls.
    added_id bytea, added_idx integer, added_declaration bytea, added_progress bytea,
    -- A node that changes, or nulls.
    changed_idx integer, changed_progress bytea,
    -- An attempt that is superseded, or nulls.
    past_idx integer, past_n bigint, past_data bytea,
    -- The first transition, and an array of all others or null.
    first_data bytea, more_data bytea[],
    -- The token.
    the_handle bigint, the_slot integer, the_number bigint,
    alone boolean,
    INOUT last_before bigint, INOUT the_history uuid
) LANGUAGE plpgsql AS $a_name_that_is_longer_than_63_bytes_so_that_no_schema_can_have_it_in_its_own$
DECLARE
    -- An expression costs a small part of what a statement does.
    done text;
    made integer := 1 + coalesce(cardinality(more_data), 0);
BEGIN
    -- Each statement has to see what was committed before it.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        ROLLBACK;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    END IF;
    PERFORM FROM pipestatus.tasks t
    WHERE t.id = the_task AND t.revision = old_revision AND t.holder = the_holder AND NOT t.gone
    FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RAISE division_by_zero USING MESSAGE = 'the task is not as the handle left it';
    END IF;
    IF added_id IS NOT NULL THEN
        INSERT INTO pipestatus.node_ids (id, task, idx) VALUES (added_id, the_task, added_idx);
        INSERT INTO pipestatus.nodes (task, idx, id, declaration, progress)
        VALUES (the_task, added_idx, added_id, added_declaration, added_progress);
    END IF;
    IF changed_idx IS NOT NULL THEN
        UPDATE pipestatus.nodes n SET progress = changed_progress WHERE n.task = the_task AND n.idx = changed_idx;
    END IF;
    IF past_idx IS NOT NULL THEN
        INSERT INTO pipestatus.attempts (task, idx, n, data) VALUES (the_task, past_idx, past_n, past_data);
    END IF;
    IF NOT alone THEN
        done := set_config('synchronous_commit', 'off', true);
    END IF;

    done := pg_advisory_xact_lock(1885957219, 'pipestatus.feed'::regclass::oid::integer);
    UPDATE pipestatus.feed f SET last = f.last + made
    WHERE f.one AND f.started = pg_postmaster_start_time() AND f.path = pg_relation_filepath(f.tableoid)
    RETURNING f.last - made, f.history INTO last_before, the_history;
    IF NOT FOUND THEN
        RAISE division_by_zero USING MESSAGE = 'the feed is not where it was at the last commit';
    END IF;
    INSERT INTO pipestatus.transitions (task, seq, data) VALUES (the_task, last_before + 1, first_data);
    IF more_data IS NOT NULL THEN
        INSERT INTO pipestatus.transitions (task, seq, data)
        SELECT the_task, last_before + 1 + u.i, u.data FROM unnest(more_data) WITH ORDINALITY AS u (data, i);
    END IF;
    UPDATE pipestatus.tasks t SET revision = last_before + made,
        shown = new_shown, unfinished = new_unfinished, failures = new_failures, header = new_header
    WHERE t.id = the_task;
    -- A row that has the number already forbids the commit.
    UPDATE pipestatus.commits c SET n = the_number / (c.n < the_number)::integer, base = last_before, at = now()
    WHERE c.holder = the_handle AND c.slot = the_slot;
    IF NOT FOUND THEN
        INSERT INTO pipestatus.commits (holder, slot, n, base) VALUES (the_handle, the_slot, the_number, last_before);
    END IF;

    IF NOT alone THEN
        COMMIT;
        done := pg_logical_emit_message(true, 'pipestatus'::text, ''::text);
    END IF;
END
$a_name_that_is_longer_than_63_bytes_so_that_no_schema_can_have_it_in_its_own$;
