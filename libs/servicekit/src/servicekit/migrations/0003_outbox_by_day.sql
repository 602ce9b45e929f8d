-- The outbox in day partitions that are made ahead and dropped behind, rows that are cheap to say
-- and to send, and what the relay knows of its own topics (docs/adr/0004, docs/adr/0010).

CREATE TEMP TABLE old_outbox ON COMMIT DROP AS SELECT * FROM kit.outbox;
CREATE TEMP TABLE old_held ON COMMIT DROP AS SELECT * FROM kit.outbox_held;
-- squawk-ignore ban-drop-table
DROP TABLE kit.outbox, kit.outbox_held;

-- A row is one record. `headers` is what servicekit.record_headers writes: every header but the
-- sequence, which has its own column because it is only known while the row is inserted.
CREATE TABLE kit.outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    said_on date NOT NULL,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    topic text NOT NULL,
    subject text NOT NULL,
    sequence bigint NOT NULL,
    event_id uuid NOT NULL,
    headers bytea NOT NULL,
    record_value bytea
) PARTITION BY RANGE (said_on);
-- seq: pages in order; txid: what became visible; event_id: is this record ours (rare, so BRIN:
-- ids rise with time, and it costs nothing to keep).
CREATE INDEX outbox_seq ON kit.outbox (seq);
CREATE INDEX outbox_txid ON kit.outbox (txid);
CREATE INDEX outbox_event_id ON kit.outbox USING brin (event_id) WITH (
    pages_per_range = 16, autosummarize = on
);
CREATE TABLE kit.outbox_other_days PARTITION OF kit.outbox DEFAULT;

CREATE TABLE kit.outbox_held (
    seq bigint NOT NULL,
    topic text NOT NULL,
    subject text NOT NULL,
    sequence bigint NOT NULL,
    headers bytea NOT NULL,
    record_value bytea,
    PRIMARY KEY (topic, seq)
);
-- Header names as the letters of servicekit.record_headers.
CREATE FUNCTION pg_temp.packed(names text [], octets bytea []) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
    SELECT convert_to(string_agg(letter, '' ORDER BY nth), 'UTF8') || '\x00'::bytea
           || string_agg(octet, '\x00'::bytea ORDER BY nth)
      FROM unnest(names, octets) WITH ORDINALITY AS h (name, octet, nth)
      JOIN (VALUES ('content-type', 'c'), ('ce_specversion', 'v'), ('ce_id', 'i'),
                   ('ce_source', 's'), ('ce_type', 't'), ('ce_subject', 'k'), ('ce_time', 'm'),
                   ('ce_dataschema', 'd'), ('ce_traceparent', 'p'), ('ce_correlationid', 'r'),
                   ('ce_causationid', 'a')) AS l (name, letter) USING (name)
$$;
CREATE FUNCTION pg_temp.header(names text [], octets bytea [], name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT convert_from(octets[array_position(names, name)], 'UTF8')
$$;

INSERT INTO kit.outbox (
    seq, said_on, txid, topic, subject, sequence, event_id, headers, record_value
) OVERRIDING SYSTEM VALUE
SELECT
    seq,
    said_on,
    txid,
    topic,
    convert_from(record_key, 'UTF8'),
    pg_temp.header(header_names, header_values, 'ce_sequence')::bigint,
    pg_temp.header(header_names, header_values, 'ce_id')::uuid,
    pg_temp.packed(header_names, header_values),
    record_value
FROM old_outbox;
SELECT setval(
    pg_get_serial_sequence('kit.outbox', 'seq'),
    coalesce((SELECT max(seq) FROM kit.outbox), 0) + 1,
    false
);

INSERT INTO kit.outbox_held (seq, topic, subject, sequence, headers, record_value)
SELECT
    seq,
    topic,
    convert_from(record_key, 'UTF8'),
    pg_temp.header(header_names, header_values, 'ce_sequence')::bigint,
    pg_temp.packed(header_names, header_values),
    record_value
FROM old_held;

-- How far the relay knows each partition it writes: every record below is its own or was looked at.
CREATE TABLE kit.relay_positions (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- Rows that are changed over and over stay on their page.
ALTER TABLE kit.relay_cursors SET (
    fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500
);
ALTER TABLE kit.relay_positions SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000
);
ALTER TABLE kit.subject_sequences SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);

GRANT SELECT, INSERT, UPDATE, DELETE ON
kit.outbox, kit.outbox_held, kit.relay_positions TO oncomentor_worker;
GRANT INSERT ON kit.outbox TO oncomentor_api;

-- Days are made and dropped by the owner's right, which the worker has through these two alone.
-- A day that has rows in the default partition already (no relay was there to make it) stays there.
CREATE FUNCTION kit.make_outbox_days(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s' AS $$
DECLARE
    day date;
    made integer := 0;
BEGIN
    FOR day IN SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, ahead) AS n LOOP
        CONTINUE WHEN to_regclass('kit.outbox_' || to_char(day, 'YYYYMMDD')) IS NOT NULL
            OR EXISTS (SELECT FROM kit.outbox_other_days WHERE said_on = day);
        EXECUTE format('CREATE TABLE kit.%1$I (LIKE kit.outbox INCLUDING DEFAULTS);'
                       'ALTER TABLE kit.outbox ATTACH PARTITION kit.%1$I'
                       ' FOR VALUES FROM (%2$L) TO (%3$L)',
                       'outbox_' || to_char(day, 'YYYYMMDD'), day, day + 1);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drops days that ended more than `kept` days ago and in which every row has been dealt with, and
-- such rows of the default partition. The lock lets whoever is still writing there end first.
CREATE FUNCTION kit.drop_outbox_days(kept integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s' AS $$
DECLARE
    first_kept date := (now() AT TIME ZONE 'UTC')::date - kept;
    day regclass;
    unsent boolean;
    dropped integer := 0;
BEGIN
    FOR day IN
        SELECT inhrelid::regclass FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = 'kit.outbox'::regclass AND relname ~ '^outbox_[0-9]{8}$'
           AND to_date(right(relname, 8), 'YYYYMMDD') < first_kept
         ORDER BY relname
    LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', day);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS o WHERE NOT EXISTS (SELECT FROM'
                       ' kit.relay_cursors AS c WHERE'
                       ' pg_visible_in_snapshot(o.txid, c.snapshot_from)))', day) INTO unsent;
        EXIT WHEN unsent;
        EXECUTE format('DROP TABLE %s', day);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM kit.outbox_other_days AS o WHERE said_on < first_kept AND EXISTS (
        SELECT FROM kit.relay_cursors AS c WHERE pg_visible_in_snapshot(o.txid, c.snapshot_from)
    );
    RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION kit.make_outbox_days(integer), kit.drop_outbox_days(integer) FROM public;
GRANT EXECUTE ON FUNCTION
kit.make_outbox_days(integer), kit.drop_outbox_days(integer) TO oncomentor_worker;
SELECT kit.make_outbox_days(2);
