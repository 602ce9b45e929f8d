-- What all services share, run once per server by its superuser in the database postgres.
-- Idempotent. With psql: -v ON_ERROR_STOP=1.

-- One at a time: an interrupted run may still be at work on the server.
SELECT pg_advisory_lock(7011, 1);

-- Migrations grant to these two, so that the same migration fits every service. A grant counts
-- only inside the database it was made in, and nobody may connect to another service's.
SELECT format('CREATE ROLE %I NOLOGIN', name)
  FROM unnest(ARRAY['oncomentor_worker', 'oncomentor_api']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
