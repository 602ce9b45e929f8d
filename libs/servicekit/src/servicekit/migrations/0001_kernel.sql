-- What the kernel keeps in every service's database. Roles: the migration role owns; workers
-- (slices, jobs, relay) and the HTTP edge get only what they need (docs/adr/0006).
CREATE SCHEMA kit;
GRANT USAGE ON SCHEMA kit TO oncomentor_worker, oncomentor_api;

-- Where each partition stands. The row is the lock and the fence of a slice: a record below
-- next_offset has been applied. topic_id tells a recreated topic from the one we read.
CREATE TABLE kit.consumer_offsets (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    topic_id text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
);

-- The last event applied per subject: producer-side duplicates, gaps and forks show here.
CREATE TABLE kit.applied_sequences (
    topic text NOT NULL,
    subject text NOT NULL,
    sequence bigint NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (topic, subject)
);

-- Events without a dense sequence (ingress), remembered by id.
CREATE TABLE kit.inbox (
    topic text NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (topic, event_id)
);

-- Records that were not applied, byte for byte. state: quarantined (bad by itself) or parked
-- (follows a bad one of the same subject).
CREATE TABLE kit.quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    record_key bytea,
    record_value bytea,
    header_names text[] NOT NULL,
    header_values bytea[] NOT NULL,
    event_id uuid,
    event_type text,
    subject text,
    reason_class text NOT NULL,
    reason text NOT NULL,
    state text NOT NULL,
    quarantined_at timestamptz NOT NULL,
    CONSTRAINT quarantine_state_known CHECK (
        state IN ('quarantined', 'parked', 'retried', 'discarded')
    ),
    CONSTRAINT quarantine_once UNIQUE (topic, partition, record_offset)
);
CREATE INDEX quarantine_open_subjects ON kit.quarantine (topic, subject)
WHERE state IN ('quarantined', 'parked');

-- The dense count per (topic, subject); the row is also the ordering lock of the subject.
CREATE TABLE kit.subject_sequences (
    topic text NOT NULL,
    subject text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (topic, subject)
);

-- Events said in the transaction of their state change; the relay sends them. txid tells which
-- rows became visible between two snapshots (seq alone loses or reorders: docs/adr/0004).
CREATE TABLE kit.outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    said_on date NOT NULL,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    topic text NOT NULL,
    record_key bytea NOT NULL,
    record_value bytea,
    header_names text[] NOT NULL,
    header_values bytea[] NOT NULL
) PARTITION BY RANGE (said_on);
CREATE INDEX outbox_txid ON kit.outbox (txid);
CREATE TABLE kit.outbox_other_days PARTITION OF kit.outbox DEFAULT;

-- Rows of the outbox whose topic Kafka did not take yet (a center that is not provisioned), put
-- aside in the statement that moves the cursor past them; sent by seq before any newer one.
CREATE TABLE kit.outbox_held (
    seq bigint NOT NULL,
    said_on date NOT NULL,
    topic text NOT NULL,
    record_key bytea NOT NULL,
    record_value bytea,
    header_names text[] NOT NULL,
    header_values bytea[] NOT NULL,
    PRIMARY KEY (topic, seq)
);

CREATE TABLE kit.relay_cursors (
    relay text PRIMARY KEY,
    snapshot_from pg_snapshot NOT NULL,
    snapshot_to pg_snapshot,
    last_seq bigint NOT NULL,
    epoch bigint NOT NULL,
    system_identifier bigint NOT NULL
);

-- Work that is due at a time: expiry, retries, things a fact sets off. One row per (kind, key).
-- version rises when it is set again; claimed_until is the lease of whoever works on it.
CREATE TABLE kit.timers (
    kind text NOT NULL,
    key text NOT NULL,
    due_at timestamptz NOT NULL,
    payload jsonb NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    last_error text,
    traceparent text,
    correlationid text,
    causationid text,
    PRIMARY KEY (kind, key)
);
CREATE INDEX timers_due ON kit.timers (kind, due_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON
kit.consumer_offsets, kit.applied_sequences, kit.inbox, kit.quarantine,
kit.subject_sequences, kit.outbox, kit.outbox_held, kit.relay_cursors, kit.timers
TO oncomentor_worker;
GRANT INSERT ON kit.outbox TO oncomentor_api;
GRANT SELECT, INSERT, UPDATE ON kit.subject_sequences TO oncomentor_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON kit.timers TO oncomentor_api;
