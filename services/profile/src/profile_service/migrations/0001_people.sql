-- Who is in the network. The HTTP edge (oncomentor_api) sees institutions and programmes, and of
-- people and receipts only its own center's; contacts, survivor blocks and keys it never sees.
-- app.institution is the caller's center, or `consortium` for an operator.

-- The registry of member centers. sequence: the greatest the center itself sent, null where
-- only operators wrote.
CREATE TABLE institutions (
    institution_id text PRIMARY KEY,
    document jsonb NOT NULL,
    sequence bigint,
    changed_at timestamptz NOT NULL
);

CREATE TABLE programmes (
    programme_id text PRIMARY KEY,
    document jsonb NOT NULL,
    sequence bigint,
    changed_at timestamptz NOT NULL
);

-- Person ids, the center each belongs to and the counters of each. A row outlives the person's
-- data: without it a withdrawn person who comes back would start again at version 1, and an old
-- submission that arrives late would bring back who was withdrawn. It holds nothing personal.
-- The row is the lock of the person.
CREATE TABLE pseudonyms (
    person_id uuid PRIMARY KEY,
    institution_id text NOT NULL,
    version bigint NOT NULL,
    sequence bigint,
    CONSTRAINT pseudonyms_version_counts CHECK (version >= 0)
);

-- A person's coded profile. digest: of the profile as the contract writes it, defaults left out.
CREATE TABLE people (
    person_id uuid PRIMARY KEY REFERENCES pseudonyms,
    institution_id text NOT NULL,
    profile jsonb NOT NULL,
    digest bytea NOT NULL,
    changed_at timestamptz NOT NULL
);

-- A person's data key, encrypted under the service's own (KEK). With this row goes all that was
-- ever encrypted for the person.
CREATE TABLE person_keys (
    person_id uuid PRIMARY KEY REFERENCES pseudonyms,
    key_id text NOT NULL,
    wrapped bytea NOT NULL,
    made_at timestamptz NOT NULL
);

-- Encrypted blocks. digest: HMAC of the plaintext under a key of the person, which tells whether
-- a newly sealed block says something new.
CREATE TABLE contacts (
    person_id uuid PRIMARY KEY REFERENCES pseudonyms,
    key_id text NOT NULL,
    nonce text NOT NULL,
    ciphertext text NOT NULL,
    digest bytea NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE survivor_blocks (
    person_id uuid PRIMARY KEY REFERENCES pseudonyms,
    key_id text NOT NULL,
    nonce text NOT NULL,
    ciphertext text NOT NULL,
    digest bytea NOT NULL,
    changed_at timestamptz NOT NULL
);

-- What a center was answered, so that a repeated event gets the answer of the first.
CREATE TABLE receipts (
    institution_id text NOT NULL,
    receipt_for text NOT NULL,
    event_type text,
    about text,
    outcome text NOT NULL,
    problems jsonb NOT NULL,
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (institution_id, receipt_for),
    CONSTRAINT receipts_outcome_known CHECK (outcome IN ('applied', 'rejected'))
);

ALTER TABLE institutions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE programmes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE pseudonyms ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE people ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE person_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE contacts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE survivor_blocks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE receipts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY worker ON institutions TO oncomentor_worker USING (true);
CREATE POLICY worker ON programmes TO oncomentor_worker USING (true);
CREATE POLICY worker ON pseudonyms TO oncomentor_worker USING (true);
CREATE POLICY worker ON people TO oncomentor_worker USING (true);
CREATE POLICY worker ON person_keys TO oncomentor_worker USING (true);
CREATE POLICY worker ON contacts TO oncomentor_worker USING (true);
CREATE POLICY worker ON survivor_blocks TO oncomentor_worker USING (true);
CREATE POLICY worker ON receipts TO oncomentor_worker USING (true);

-- Every member reads the registry; operators write it, and an owner its own programmes.
CREATE POLICY api_read ON institutions FOR SELECT TO oncomentor_api USING (true);
CREATE POLICY api_insert ON institutions FOR INSERT TO oncomentor_api
WITH CHECK (current_setting('app.institution', true) = 'consortium');
CREATE POLICY api_update ON institutions FOR UPDATE TO oncomentor_api
USING (current_setting('app.institution', true) = 'consortium');

CREATE POLICY api_read ON programmes FOR SELECT TO oncomentor_api USING (true);
CREATE POLICY api_insert ON programmes FOR INSERT TO oncomentor_api
WITH CHECK (document ->> 'owner' = current_setting('app.institution', true));
CREATE POLICY api_update ON programmes FOR UPDATE TO oncomentor_api
USING (document ->> 'owner' = current_setting('app.institution', true));

CREATE POLICY api_read ON pseudonyms FOR SELECT TO oncomentor_api
USING (current_setting('app.institution', true) IN (institution_id, 'consortium'));
CREATE POLICY api_read ON people FOR SELECT TO oncomentor_api
USING (current_setting('app.institution', true) IN (institution_id, 'consortium'));
CREATE POLICY api_read ON receipts FOR SELECT TO oncomentor_api
USING (current_setting('app.institution', true) IN (institution_id, 'consortium'));

GRANT SELECT, INSERT, UPDATE ON institutions, programmes, pseudonyms, receipts
TO oncomentor_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON people, person_keys, contacts, survivor_blocks
TO oncomentor_worker;
GRANT SELECT, INSERT, UPDATE ON institutions, programmes TO oncomentor_api;
GRANT SELECT ON pseudonyms, people, receipts TO oncomentor_api;
