-- What scheduling keeps. Every table is under forced row-level security: workers (slices and
-- jobs) see all of it; the HTTP edge sees only what has a policy for it below, and of that only
-- the rows of the center that asks (docs/adr/0006).

-- Projections: what other services said last.
CREATE TABLE institutions (
    institution_id text PRIMARY KEY,
    active boolean NOT NULL
);

CREATE TABLE programmes (
    programme_id text PRIMARY KEY,
    session_minutes integer NOT NULL,
    CONSTRAINT programmes_session_length CHECK (session_minutes BETWEEN 15 AND 240)
);

-- weekly_hours: [[weekday, starts, ends], ...] in seconds of the day, in time_zone.
-- pledges: {programme: minutes a month}.
CREATE TABLE people (
    person_id uuid PRIMARY KEY,
    institution_id text NOT NULL,
    time_zone text NOT NULL,
    weekly_hours jsonb NOT NULL,
    pledges jsonb NOT NULL,
    projected_at timestamptz NOT NULL
);
CREATE INDEX people_pledged ON people (time_zone) WHERE pledges <> '{}';

-- Active matches, and how far the booking of their first session has come. The cause is kept so
-- that a late booking still belongs to the story of its match.
CREATE TABLE matches (
    match_id uuid PRIMARY KEY,
    programme_id text NOT NULL,
    mentor_id uuid NOT NULL,
    mentee_id uuid NOT NULL,
    institution_ids text [] NOT NULL,
    activated_at timestamptz NOT NULL,
    booking text NOT NULL,
    reason text,
    tries integer NOT NULL DEFAULT 0,
    deadline_at timestamptz NOT NULL,
    traceparent text,
    correlationid text,
    causationid text,
    CONSTRAINT matches_booking_known CHECK (
        booking IN ('pending', 'waiting', 'unbookable', 'booked')
    ),
    CONSTRAINT matches_reason_given CHECK ((booking = 'unbookable') = (reason IS NOT NULL))
);
CREATE INDEX matches_open_mentors ON matches (mentor_id) WHERE booking <> 'booked';
CREATE INDEX matches_open_mentees ON matches (mentee_id) WHERE booking <> 'booked';
CREATE INDEX matches_open_programmes ON matches (programme_id) WHERE booking <> 'booked';
CREATE INDEX matches_open_institutions ON matches USING gin (institution_ids)
WHERE booking <> 'booked';

-- One row per person: the lock of whatever draws on their time, and the availability said last
-- (null: nothing said, or taken back). Rows stay, since a lock that can vanish is none.
CREATE TABLE calendars (
    person_id uuid PRIMARY KEY,
    institution_id text,
    time_zone text,
    weekly_hours jsonb,
    minutes_left_month integer,
    said_at timestamptz,
    CONSTRAINT calendars_said_whole CHECK (
        (institution_id IS NULL) = (said_at IS NULL)
        AND (time_zone IS NULL) = (said_at IS NULL)
        AND (weekly_hours IS NULL) = (said_at IS NULL)
    )
);

-- starts_on and wall_time are the start on the clock of time_zone: they are kept when a new tz
-- database moves starts_at.
CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    match_id uuid NOT NULL,
    programme_id text NOT NULL,
    institution_ids text [] NOT NULL,
    status text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    starts_on date NOT NULL,
    wall_time time NOT NULL,
    time_zone text NOT NULL,
    duration_minutes integer NOT NULL,
    tzdb_version text NOT NULL,
    ical_uid text NOT NULL,
    ical_sequence integer NOT NULL,
    booked_at timestamptz NOT NULL,
    CONSTRAINT sessions_status_known CHECK (status IN ('held', 'booked', 'cancelled')),
    CONSTRAINT sessions_exact_length CHECK (
        ends_at - starts_at = duration_minutes * INTERVAL '1 minute'
    ),
    CONSTRAINT sessions_uid_once UNIQUE (ical_uid)
);
CREATE INDEX sessions_in_order ON sessions (starts_at, session_id);
CREATE INDEX sessions_of_match ON sessions (match_id);

-- occupied holds the session and the buffer behind it. The constraint is the last word on double
-- booking; the lock on calendars is there so that it seldom has to speak.
CREATE TABLE session_attendees (
    session_id uuid NOT NULL REFERENCES sessions,
    person_id uuid NOT NULL,
    institution_id text NOT NULL,
    institution_ids text [] NOT NULL,
    side text NOT NULL,
    time_zone text NOT NULL,
    status text NOT NULL,
    occupied tstzrange NOT NULL,
    PRIMARY KEY (session_id, person_id),
    CONSTRAINT session_attendees_side_known CHECK (side IN ('mentor', 'mentee')),
    CONSTRAINT session_attendees_no_overlap
    EXCLUDE USING gist (person_id WITH =, occupied WITH &&)
    WHERE (status IN ('held', 'booked'))
);

-- The ledger of protected time; month_on is the first day of a month of the mentor's clock.
CREATE TABLE protected_months (
    person_id uuid NOT NULL,
    programme_id text NOT NULL,
    month_on date NOT NULL,
    minutes_drawn integer NOT NULL,
    PRIMARY KEY (person_id, programme_id, month_on),
    CONSTRAINT protected_months_not_negative CHECK (minutes_drawn >= 0)
);

-- Whoever has a url can join the session, so the HTTP edge has no right to this table at all.
CREATE TABLE links (
    session_id uuid PRIMARY KEY REFERENCES sessions,
    url text NOT NULL,
    issued_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON
institutions, programmes, people, matches, calendars, sessions, session_attendees,
protected_months, links
TO oncomentor_worker;
GRANT SELECT ON calendars, sessions, session_attendees TO oncomentor_api;

ALTER TABLE institutions ENABLE ROW LEVEL SECURITY;
ALTER TABLE institutions FORCE ROW LEVEL SECURITY;
CREATE POLICY institutions_worker ON institutions TO oncomentor_worker USING (true);

ALTER TABLE programmes ENABLE ROW LEVEL SECURITY;
ALTER TABLE programmes FORCE ROW LEVEL SECURITY;
CREATE POLICY programmes_worker ON programmes TO oncomentor_worker USING (true);

ALTER TABLE people ENABLE ROW LEVEL SECURITY;
ALTER TABLE people FORCE ROW LEVEL SECURITY;
CREATE POLICY people_worker ON people TO oncomentor_worker USING (true);

ALTER TABLE matches ENABLE ROW LEVEL SECURITY;
ALTER TABLE matches FORCE ROW LEVEL SECURITY;
CREATE POLICY matches_worker ON matches TO oncomentor_worker USING (true);

ALTER TABLE protected_months ENABLE ROW LEVEL SECURITY;
ALTER TABLE protected_months FORCE ROW LEVEL SECURITY;
CREATE POLICY protected_months_worker ON protected_months TO oncomentor_worker USING (true);

ALTER TABLE links ENABLE ROW LEVEL SECURITY;
ALTER TABLE links FORCE ROW LEVEL SECURITY;
CREATE POLICY links_worker ON links TO oncomentor_worker USING (true);

ALTER TABLE calendars ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendars FORCE ROW LEVEL SECURITY;
CREATE POLICY calendars_worker ON calendars TO oncomentor_worker USING (true);
CREATE POLICY calendars_of_center ON calendars FOR SELECT TO oncomentor_api USING (
    current_setting('app.institution', true) IN (institution_id, 'consortium')
);

-- A session belongs to the centers of both its attendees; each sees the whole of it.
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY sessions_worker ON sessions TO oncomentor_worker USING (true);
CREATE POLICY sessions_of_center ON sessions FOR SELECT TO oncomentor_api USING (
    current_setting('app.institution', true) = 'consortium'
    OR current_setting('app.institution', true) = ANY(institution_ids)
);

ALTER TABLE session_attendees ENABLE ROW LEVEL SECURITY;
ALTER TABLE session_attendees FORCE ROW LEVEL SECURITY;
CREATE POLICY session_attendees_worker ON session_attendees TO oncomentor_worker USING (true);
CREATE POLICY session_attendees_of_center ON session_attendees FOR SELECT TO oncomentor_api USING (
    current_setting('app.institution', true) = 'consortium'
    OR current_setting('app.institution', true) = ANY(institution_ids)
);
