-- Who has changed since a pool in memory was last brought up to date: one line per change of what
-- matching knows of a person, written by the tables themselves so that no writer can forget it.
-- Lines are only ever added, so nobody waits for anybody. changed_in: whoever reads all lines from
-- the oldest transaction on that was still open at the last look misses none (store/changes.py).
CREATE TABLE pool_changes (
    changed_in xid8 NOT NULL DEFAULT pg_current_xact_id(),
    person_id uuid NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pool_changes_changed_in ON pool_changes (changed_in);
CREATE INDEX pool_changes_changed_at ON pool_changes USING brin (changed_at);
GRANT SELECT, INSERT, DELETE ON pool_changes TO oncomentor_worker;

CREATE FUNCTION note_pool_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'matches' THEN
        INSERT INTO pool_changes (person_id) SELECT mentor_id FROM changed;
    ELSE
        INSERT INTO pool_changes (person_id) SELECT person_id FROM changed;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER people_added AFTER INSERT ON people
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_pool_change();
CREATE TRIGGER people_changed AFTER UPDATE ON people
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_pool_change();
CREATE TRIGGER people_gone AFTER DELETE ON people
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_pool_change();
CREATE TRIGGER availabilities_added AFTER INSERT ON availabilities
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_pool_change();
CREATE TRIGGER availabilities_changed AFTER UPDATE ON availabilities
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_pool_change();
CREATE TRIGGER availabilities_gone AFTER DELETE ON availabilities
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_pool_change();
-- A match takes or frees a seat of its mentor.
CREATE TRIGGER matches_added AFTER INSERT ON matches
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_pool_change();
CREATE TRIGGER matches_changed AFTER UPDATE ON matches
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_pool_change();
