-- What an operator needs of a kept record: its place in its subject; who closed it, when and why.
-- The table holds what went wrong and is small: the file runs whole, in a moment.
-- squawk-ignore-file ban-drop-constraint, require-concurrent-index-creation, require-concurrent-index-deletion
SET LOCAL lock_timeout = '10s';
SET LOCAL statement_timeout = '60s';

-- sequence: where the record stands in its subject, as far as that can be believed.
ALTER TABLE kit.quarantine
ADD COLUMN sequence bigint,
ADD COLUMN settled_at timestamptz,
ADD COLUMN settled_by text,
ADD COLUMN settled_why text;

UPDATE kit.quarantine
SET
    sequence
    = convert_from(header_values[array_position(header_names, 'ce_sequence')], 'UTF8')::bigint
WHERE
    event_id IS NOT NULL AND reason_class <> 'foreign_source'
    AND array_position(header_names, 'ce_sequence') IS NOT NULL;

-- A topic that was made again has other records at the same offsets: both are kept.
ALTER TABLE kit.quarantine DROP CONSTRAINT quarantine_once;
CREATE UNIQUE INDEX quarantine_once ON kit.quarantine
(topic, partition, record_offset, event_id, sha256(record_value)) NULLS NOT DISTINCT;

DROP INDEX kit.quarantine_open_subjects;
CREATE INDEX quarantine_subjects ON kit.quarantine (topic, subject, sequence);
CREATE INDEX quarantine_open_reasons ON kit.quarantine (reason_class, state)
WHERE state IN ('quarantined', 'parked');
