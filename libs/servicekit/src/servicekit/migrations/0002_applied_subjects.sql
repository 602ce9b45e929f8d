-- The last event applied per subject, under a key of 16 bytes instead of two texts: this row is
-- written for every event of a state topic, and its index is half of what that costs.
-- run_from is the first sequence of the slice that wrote it: an upsert can compare with it, so a
-- slice without repeats needs no read before (servicekit.inbox).
CREATE FUNCTION kit.subject_key(topic text, subject text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN substring(sha256(convert_to(topic || chr(31) || subject, 'UTF8')) FROM 1 FOR 16);

CREATE TABLE kit.applied_subjects (
    subject_key bytea PRIMARY KEY,
    run_from bigint NOT NULL,
    sequence bigint NOT NULL,
    event_id uuid NOT NULL
) WITH (fillfactor = 70);
GRANT SELECT, INSERT, UPDATE, DELETE ON kit.applied_subjects TO oncomentor_worker;

INSERT INTO kit.applied_subjects (subject_key, run_from, sequence, event_id)
SELECT kit.subject_key(topic, subject), sequence, sequence, event_id FROM kit.applied_sequences;
-- squawk-ignore ban-drop-table -- nothing was released that reads it
DROP TABLE kit.applied_sequences;

-- Work that cannot go on before a fact has come: which timer to pull forward when it does. The
-- timer's own time is the deadline (servicekit.waiting).
CREATE TABLE kit.waiting_on (
    fact text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    PRIMARY KEY (fact, kind, key)
);
CREATE INDEX waiting_on_timer ON kit.waiting_on (kind, key);
GRANT SELECT, INSERT, UPDATE, DELETE ON kit.waiting_on TO oncomentor_worker;
