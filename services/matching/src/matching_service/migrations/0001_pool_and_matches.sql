-- What matching heard (institutions ... survivor_keys) and what it owns (places, matches, ...).
-- Topics arrive in any order, so nothing that was heard refers to another topic's rows.

CREATE TABLE institutions (
    institution_id text PRIMARY KEY,
    sequence bigint NOT NULL,
    jurisdiction text NOT NULL,
    active boolean NOT NULL,
    cross_institution text NOT NULL,
    partners_allowed text [],
    partners_refused text [] NOT NULL,
    jurisdictions_allowed text [],
    clearance text NOT NULL,
    clearance_window interval NOT NULL,
    survivor_lane boolean NOT NULL,
    max_profile_age interval
);

CREATE TABLE programmes (
    programme_id text PRIMARY KEY,
    sequence bigint NOT NULL,
    kind text NOT NULL,
    mode text NOT NULL,
    active boolean NOT NULL,
    participants text [],
    session_minutes integer NOT NULL,
    mentor_capacity integer NOT NULL,
    protected_minutes_month integer NOT NULL,
    required_training text [] NOT NULL,
    response_window interval NOT NULL,
    min_years_past_treatment integer NOT NULL,
    criteria text [] NOT NULL,
    weights double precision [] NOT NULL,
    criteria_version integer NOT NULL,
    CONSTRAINT programmes_weigh_each_criterion CHECK (cardinality(criteria) = cardinality(weights))
);

-- weekly_hours: [[ISO weekday, minute it starts, minute it ends], ...], local;
-- training: [[code, completed on, valid until or null], ...].
CREATE TABLE people (
    person_id uuid PRIMARY KEY,
    institution_id text NOT NULL,
    version integer NOT NULL,
    changed_at timestamptz NOT NULL,
    active boolean NOT NULL,
    time_zone text NOT NULL,
    weekly_hours jsonb NOT NULL,
    languages text [] NOT NULL,
    career_stage text,
    modalities text [] NOT NULL,
    communication_styles text [] NOT NULL,
    topics text [] NOT NULL,
    methods text [] NOT NULL,
    unit_key text,
    lab_key text,
    reporting_line_keys text [] NOT NULL,
    evaluated_unit_keys text [] NOT NULL,
    blocked_person_ids uuid [] NOT NULL,
    identity_tokens text [] NOT NULL,
    conflict_tokens text [] NOT NULL,
    training jsonb NOT NULL,
    consents text [] NOT NULL
);
CREATE INDEX people_institution ON people (institution_id);

-- What a person is in a programme. codes: a mentor's offers, a mentee's goals. capacity: seats of
-- a mentor (null: the programme's), mentors that a mentee wants.
CREATE TABLE roles (
    programme_id text NOT NULL,
    person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
    side text NOT NULL,
    institution_id text NOT NULL,
    codes text [] NOT NULL,
    capacity integer,
    protected_minutes_month integer,
    urgency text,
    since_at timestamptz NOT NULL,
    PRIMARY KEY (programme_id, side, person_id),
    CONSTRAINT roles_side_known CHECK (side IN ('mentor', 'mentee'))
);
CREATE INDEX roles_person ON roles (person_id);
CREATE INDEX roles_institution ON roles (institution_id);

CREATE TABLE availabilities (
    person_id uuid PRIMARY KEY,
    institution_id text NOT NULL,
    sequence bigint NOT NULL,
    time_zone text NOT NULL,
    weekly_hours jsonb NOT NULL,
    minutes_left_month integer
);

-- Ciphertext, and the key to it sealed to this service; opened in memory only.
CREATE TABLE survivor_blocks (
    person_id uuid PRIMARY KEY,
    institution_id text NOT NULL,
    sequence bigint NOT NULL,
    key_id text NOT NULL,
    nonce text NOT NULL,
    ciphertext text NOT NULL
);

CREATE TABLE survivor_keys (
    person_id uuid PRIMARY KEY,
    sequence bigint NOT NULL,
    key_id text NOT NULL,
    sealed_key text NOT NULL
);

-- A person's place in a programme: the row that whoever gives or takes a seat locks, in the order
-- of (person_id, side). Apart from roles, so that hearing a profile never waits for a decision.
CREATE TABLE places (
    programme_id text NOT NULL,
    person_id uuid NOT NULL,
    side text NOT NULL,
    PRIMARY KEY (programme_id, person_id, side),
    CONSTRAINT places_side_known CHECK (side IN ('mentor', 'mentee'))
);
CREATE INDEX places_person ON places (person_id);

-- barred_at: it will never go on, which nobody is told before its window ends.
CREATE TABLE matches (
    match_id uuid PRIMARY KEY,
    programme_id text NOT NULL,
    mentor_id uuid NOT NULL,
    mentor_institution_id text NOT NULL,
    mentor_version integer NOT NULL,
    mentor_clears_at timestamptz,
    mentor_cleared boolean NOT NULL,
    mentee_id uuid NOT NULL,
    mentee_institution_id text NOT NULL,
    mentee_version integer NOT NULL,
    mentee_clears_at timestamptz,
    mentee_cleared boolean NOT NULL,
    state text NOT NULL,
    clear_by timestamptz NOT NULL,
    response_window interval NOT NULL,
    respond_by timestamptz,
    barred_at timestamptz,
    barred_by text,
    declined_by text,
    score double precision NOT NULL,
    explanation jsonb NOT NULL,
    proposed_at timestamptz NOT NULL,
    held_at timestamptz,
    settled_at timestamptz,
    steps integer NOT NULL,
    CONSTRAINT matches_proposed_once UNIQUE (programme_id, mentor_id, mentee_id),
    CONSTRAINT matches_of_two CHECK (mentor_id <> mentee_id),
    CONSTRAINT matches_state_known CHECK (
        state IN (
            'proposed', 'offered_to_mentor', 'offered_to_mentee', 'active', 'declined', 'expired',
            'not_available', 'superseded', 'withdrawn'
        )
    ),
    CONSTRAINT matches_asked_until CHECK (
        (state IN ('offered_to_mentor', 'offered_to_mentee')) <= (respond_by IS NOT NULL)
    )
);
CREATE INDEX matches_mentor ON matches (mentor_id);
CREATE INDEX matches_mentee ON matches (mentee_id);
CREATE INDEX matches_mentor_institution ON matches (mentor_institution_id, proposed_at);
CREATE INDEX matches_mentee_institution ON matches (mentee_institution_id, proposed_at);
CREATE INDEX matches_proposed ON matches (proposed_at, match_id);
CREATE INDEX matches_seats ON matches (programme_id, mentor_id)
WHERE state IN ('offered_to_mentor', 'offered_to_mentee', 'active') AND barred_at IS NULL;

-- The story of a match. private_to: only this center reads the line (and the consortium).
CREATE TABLE match_steps (
    match_id uuid NOT NULL REFERENCES matches,
    step integer NOT NULL,
    at timestamptz NOT NULL,
    fact text NOT NULL,
    detail jsonb NOT NULL,
    private_to text,
    PRIMARY KEY (match_id, step)
);

-- What each response of a center was answered with, so that a repeated one hears it again.
CREATE TABLE receipts (
    event_id text PRIMARY KEY,
    institution_id text NOT NULL,
    rejection jsonb,
    answered_at timestamptz NOT NULL
);

CREATE VIEW mentor_seats WITH (security_invoker = true) AS
SELECT
    r.programme_id,
    r.person_id,
    r.institution_id,
    coalesce(r.capacity, pr.mentor_capacity) AS seats,
    (
        SELECT count(*) FROM matches AS m
        WHERE
            m.programme_id = r.programme_id AND m.mentor_id = r.person_id
            AND m.state IN ('offered_to_mentor', 'offered_to_mentee', 'active')
            AND m.barred_at IS NULL
    ) AS seats_taken
FROM roles AS r
JOIN programmes AS pr ON r.programme_id = pr.programme_id
WHERE r.side = 'mentor';

CREATE VIEW waiting_mentees WITH (security_invoker = true) AS
SELECT
    r.programme_id,
    r.person_id,
    r.institution_id,
    r.since_at
FROM roles AS r
JOIN programmes AS pr ON r.programme_id = pr.programme_id
JOIN people AS p ON r.person_id = p.person_id
WHERE
    r.side = 'mentee' AND p.active AND pr.active AND pr.mode = 'open'
    AND r.capacity > (
        SELECT count(*) FROM matches AS m
        WHERE
            m.programme_id = r.programme_id AND m.mentee_id = r.person_id
            AND m.state IN ('proposed', 'offered_to_mentor', 'offered_to_mentee', 'active')
    );

GRANT SELECT, INSERT, UPDATE, DELETE ON
institutions, programmes, people, roles, availabilities, survivor_blocks, survivor_keys, places
TO oncomentor_worker;
GRANT SELECT, INSERT, UPDATE ON matches TO oncomentor_worker;
GRANT SELECT, INSERT ON match_steps, receipts TO oncomentor_worker;
GRANT SELECT ON mentor_seats, waiting_mentees TO oncomentor_worker;

-- The HTTP edge answers questions; responses come in as events, with the worker's rights.
GRANT SELECT ON programmes, roles, mentor_seats, waiting_mentees TO oncomentor_api;
GRANT SELECT (person_id, institution_id, active) ON people TO oncomentor_api;
GRANT SELECT ON matches, match_steps TO oncomentor_api;

ALTER TABLE institutions ENABLE ROW LEVEL SECURITY;
ALTER TABLE institutions FORCE ROW LEVEL SECURITY;
CREATE POLICY institutions_worker ON institutions TO oncomentor_worker USING (true);

ALTER TABLE people ENABLE ROW LEVEL SECURITY;
ALTER TABLE people FORCE ROW LEVEL SECURITY;
CREATE POLICY people_worker ON people TO oncomentor_worker USING (true);
CREATE POLICY people_api ON people TO oncomentor_api
USING (current_setting('app.institution', true) IN (institution_id, 'consortium'));

ALTER TABLE roles ENABLE ROW LEVEL SECURITY;
ALTER TABLE roles FORCE ROW LEVEL SECURITY;
CREATE POLICY roles_worker ON roles TO oncomentor_worker USING (true);
CREATE POLICY roles_api ON roles TO oncomentor_api
USING (current_setting('app.institution', true) IN (institution_id, 'consortium'));

ALTER TABLE availabilities ENABLE ROW LEVEL SECURITY;
ALTER TABLE availabilities FORCE ROW LEVEL SECURITY;
CREATE POLICY availabilities_worker ON availabilities TO oncomentor_worker USING (true);

ALTER TABLE survivor_blocks ENABLE ROW LEVEL SECURITY;
ALTER TABLE survivor_blocks FORCE ROW LEVEL SECURITY;
CREATE POLICY survivor_blocks_worker ON survivor_blocks TO oncomentor_worker USING (true);

ALTER TABLE survivor_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE survivor_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY survivor_keys_worker ON survivor_keys TO oncomentor_worker USING (true);

-- A match has two sides and is visible to both.
ALTER TABLE matches ENABLE ROW LEVEL SECURITY;
ALTER TABLE matches FORCE ROW LEVEL SECURITY;
CREATE POLICY matches_worker ON matches TO oncomentor_worker USING (true);
CREATE POLICY matches_api ON matches TO oncomentor_api
USING (
    current_setting('app.institution', true)
    IN (mentor_institution_id, mentee_institution_id, 'consortium')
);

ALTER TABLE match_steps ENABLE ROW LEVEL SECURITY;
ALTER TABLE match_steps FORCE ROW LEVEL SECURITY;
CREATE POLICY match_steps_worker ON match_steps TO oncomentor_worker USING (true);
CREATE POLICY match_steps_api ON match_steps TO oncomentor_api
USING (
    EXISTS (SELECT 1 FROM matches AS m WHERE m.match_id = match_steps.match_id)
    AND (
        private_to IS NULL
        OR current_setting('app.institution', true) IN (private_to, 'consortium')
    )
);

ALTER TABLE receipts ENABLE ROW LEVEL SECURITY;
ALTER TABLE receipts FORCE ROW LEVEL SECURITY;
CREATE POLICY receipts_worker ON receipts TO oncomentor_worker USING (true);
