-- What notification keeps. Names and addresses are here only as encrypted blocks; mails are
-- rendered when they are sent and are not kept.

-- Projections of profile.* and scheduling.link.
CREATE TABLE institutions (
    institution_id text PRIMARY KEY,
    name text NOT NULL,
    time_zone text NOT NULL,
    clearance text NOT NULL
);

CREATE TABLE programmes (
    programme_id text PRIMARY KEY,
    name text NOT NULL,
    kind text NOT NULL
);

CREATE TABLE people (
    person_id uuid PRIMARY KEY,
    institution_id text NOT NULL,
    time_zone text NOT NULL,
    may_be_named boolean NOT NULL
);

CREATE TABLE contacts (
    person_id uuid PRIMARY KEY,
    institution_id text NOT NULL,
    key_id text NOT NULL,
    nonce text NOT NULL,
    ciphertext text NOT NULL
);

CREATE TABLE person_keys (
    person_id uuid PRIMARY KEY,
    key_id text NOT NULL,
    jwe text NOT NULL
);

CREATE TABLE meeting_links (
    session_id uuid PRIMARY KEY,
    url text NOT NULL
);

-- Projections of matching.match and scheduling.session: either may be heard first.
CREATE TABLE matches (
    match_id uuid PRIMARY KEY,
    programme_id text NOT NULL,
    mentor_id uuid NOT NULL,
    mentor_institution_id text NOT NULL,
    mentee_id uuid NOT NULL,
    mentee_institution_id text NOT NULL,
    score double precision NOT NULL,
    reasons text [] NOT NULL,
    clear_by timestamptz NOT NULL,
    state text NOT NULL,
    cleared text [] NOT NULL,
    asked text,
    respond_by timestamptz,
    CONSTRAINT matches_asked_until CHECK ((asked IS NULL) = (respond_by IS NULL))
);

-- told_at: when the centers and the people were told of the session as it stands.
CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    match_id uuid NOT NULL,
    booked boolean NOT NULL,
    starts_at timestamptz,
    duration_minutes integer,
    time_zone text,
    ical_uid text,
    ical_sequence integer,
    told_at timestamptz,
    CONSTRAINT sessions_booking_whole CHECK (
        num_nulls(starts_at, duration_minutes, time_zone, ical_uid, ical_sequence)
        = CASE WHEN booked THEN 0 ELSE 5 END
    )
);
CREATE INDEX sessions_match ON sessions (match_id);

-- The deciding half: what was decided, and what came of it.
CREATE TABLE deliveries (
    delivery_id uuid PRIMARY KEY,
    person_id uuid NOT NULL,
    institution_id text NOT NULL,
    match_id uuid NOT NULL,
    session_id uuid,
    template text NOT NULL,
    channel text NOT NULL,
    state text NOT NULL DEFAULT 'intended',
    reason text,
    decided_at timestamptz NOT NULL,
    settled_at timestamptz,
    CONSTRAINT deliveries_state_known CHECK (state IN ('intended', 'sent', 'failed')),
    CONSTRAINT deliveries_settled_when CHECK ((state = 'intended') = (settled_at IS NULL)),
    CONSTRAINT deliveries_reason_if_failed CHECK ((state = 'failed') = (reason IS NOT NULL))
);
CREATE INDEX deliveries_newest ON deliveries (institution_id, decided_at DESC, delivery_id DESC);
CREATE INDEX deliveries_match ON deliveries (match_id);

-- The sending half: what it was asked to send. The attempt is counted and committed before the
-- mail server is spoken to, so that a crash leaves a trace.
CREATE TABLE mails (
    delivery_id uuid PRIMARY KEY,
    intent jsonb NOT NULL,
    intended_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    attempts integer NOT NULL DEFAULT 0,
    attempted_at timestamptz,
    CONSTRAINT mails_state_known CHECK (state IN ('waiting', 'sending', 'sent', 'failed'))
);

GRANT SELECT, INSERT, UPDATE, DELETE ON
institutions, programmes, people, contacts, person_keys, meeting_links, matches, sessions,
deliveries, mails
TO oncomentor_worker;
GRANT SELECT ON deliveries TO oncomentor_api;

-- The HTTP edge sees deliveries alone, and of them its own center's; no other table is granted.
ALTER TABLE people ENABLE ROW LEVEL SECURITY;
ALTER TABLE people FORCE ROW LEVEL SECURITY;
CREATE POLICY people_worker ON people TO oncomentor_worker USING (true);
ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE contacts FORCE ROW LEVEL SECURITY;
CREATE POLICY contacts_worker ON contacts TO oncomentor_worker USING (true);
ALTER TABLE matches ENABLE ROW LEVEL SECURITY;
ALTER TABLE matches FORCE ROW LEVEL SECURITY;
CREATE POLICY matches_worker ON matches TO oncomentor_worker USING (true);
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY deliveries_worker ON deliveries TO oncomentor_worker USING (true);
CREATE POLICY deliveries_own_center ON deliveries FOR SELECT TO oncomentor_api
USING (current_setting('app.institution', true) IN ('consortium', institution_id));
