-- Dropping the outbox's days behind the cursor costs the same however much lies in them: only rows
-- of transactions that the cursor's snapshot did not see as ended are looked at, by their index.
-- Rows of the default partition go a portion at a time; the next call takes the next.
CREATE OR REPLACE FUNCTION kit.drop_outbox_days(kept integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s' AS $$
DECLARE
    first_kept date := (now() AT TIME ZONE 'UTC')::date - kept;
    seen_below xid8 := (SELECT min(pg_snapshot_xmin(snapshot_from)) FROM kit.relay_cursors);
    day regclass;
    unsent boolean;
    dropped integer := 0;
BEGIN
    IF seen_below IS NULL THEN
        RETURN 0;
    END IF;
    FOR day IN
        SELECT inhrelid::regclass FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = 'kit.outbox'::regclass AND relname ~ '^outbox_[0-9]{8}$'
           AND to_date(right(relname, 8), 'YYYYMMDD') < first_kept
         ORDER BY relname
    LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', day);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS o WHERE txid >= $1 AND NOT EXISTS (SELECT'
                       ' FROM kit.relay_cursors AS c WHERE'
                       ' pg_visible_in_snapshot(o.txid, c.snapshot_from)))', day)
           INTO unsent USING seen_below;
        EXIT WHEN unsent;
        EXECUTE format('DROP TABLE %s', day);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM kit.outbox_other_days WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM kit.outbox_other_days AS o
         WHERE said_on < first_kept AND EXISTS (
             SELECT FROM kit.relay_cursors AS c WHERE pg_visible_in_snapshot(o.txid, c.snapshot_from)
         )
         LIMIT 50000
    ));
    RETURN dropped;
END
$$;
