-- What the services of the fault campaign keep, the same tables in each database. Every cycle
-- brings its own subjects; the campaign empties these tables in between.

-- One row for each event that a handler was given, written in the slice's own transaction: an
-- event that is applied twice stands here twice. nth follows the order within a partition.
CREATE TABLE public.heard (
    nth bigint GENERATED ALWAYS AS IDENTITY,
    topic text NOT NULL,
    event_id uuid NOT NULL,
    subject text NOT NULL,
    sequence bigint,
    type text NOT NULL,
    process text NOT NULL,
    heard_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Projections of others' events.
CREATE TABLE public.people (person_id uuid PRIMARY KEY, version bigint NOT NULL, mark text NOT NULL);
CREATE TABLE public.match_logs (match_id uuid PRIMARY KEY, facts bigint NOT NULL, chain text NOT NULL);
CREATE TABLE public.hours (person_id uuid PRIMARY KEY, minutes bigint NOT NULL);

-- Aggregates, each a fold of the facts that its owner says. A chain is the SHA-256 of the chain
-- before and what is added, so that order counts.
CREATE TABLE public.members (person_id uuid PRIMARY KEY, version bigint NOT NULL, mark text NOT NULL);
CREATE TABLE public.matches (match_id uuid PRIMARY KEY, facts bigint NOT NULL, chain text NOT NULL);
CREATE TABLE public.declines (match_id uuid NOT NULL, mark uuid NOT NULL);
CREATE TABLE public.pledges (person_id uuid PRIMARY KEY, minutes bigint NOT NULL);
CREATE TABLE public.sessions (session_id uuid NOT NULL, match_id uuid NOT NULL);
CREATE TABLE public.links (session_id uuid NOT NULL, mark uuid NOT NULL);
CREATE TABLE public.deliveries (delivery_id uuid NOT NULL);

-- What moved the kernel's own marks: the judge of epochs and fences.
CREATE TABLE public.position_moves (
    nth bigint GENERATED ALWAYS AS IDENTITY,
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    before bigint NOT NULL,
    after bigint NOT NULL
);
CREATE TABLE public.cursor_moves (
    nth bigint GENERATED ALWAYS AS IDENTITY,
    epoch_before bigint NOT NULL,
    epoch_after bigint NOT NULL,
    backend integer NOT NULL DEFAULT pg_backend_pid()
);

CREATE FUNCTION public.note_position_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.position_moves (consumer, topic, partition, before, after)
    VALUES (new.consumer, new.topic, new.partition, old.next_offset, new.next_offset);
    RETURN NULL;
END $$;
CREATE TRIGGER note_position_move AFTER UPDATE ON kit.consumer_offsets
FOR EACH ROW WHEN (old.next_offset IS DISTINCT FROM new.next_offset)
EXECUTE FUNCTION public.note_position_move();

CREATE FUNCTION public.note_cursor_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.cursor_moves (epoch_before, epoch_after) VALUES (old.epoch, new.epoch);
    RETURN NULL;
END $$;
CREATE TRIGGER note_cursor_move AFTER UPDATE ON kit.relay_cursors
FOR EACH ROW EXECUTE FUNCTION public.note_cursor_move();

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO oncomentor_worker;
REVOKE ALL ON public.migrations FROM oncomentor_worker;
GRANT SELECT ON public.migrations TO oncomentor_worker;
