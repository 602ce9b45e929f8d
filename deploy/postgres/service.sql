-- One service's roles and database, run by the server's superuser in the database postgres.
-- Idempotent. With psql: -v ON_ERROR_STOP=1 -v service=<name>, and in the environment
-- ONCOMENTOR_OWNER_VERIFIER, _WORKER_VERIFIER, _API_VERIFIER: passwords as PostgreSQL keeps them
-- (SCRAM-SHA-256$...), so that no password can reach the server's log.

\getenv owner_verifier ONCOMENTOR_OWNER_VERIFIER
\getenv worker_verifier ONCOMENTOR_WORKER_VERIFIER
\getenv api_verifier ONCOMENTOR_API_VERIFIER
\set owner :service _owner
\set worker :service _worker
\set api :service _api

-- One at a time: an interrupted run may still be at work on the server.
SELECT pg_advisory_lock(7011, 1);

SELECT format('CREATE ROLE %I', name)
  FROM unnest(ARRAY[:'owner', :'worker', :'api']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

ALTER ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
      PASSWORD :'owner_verifier';
ALTER ROLE :"worker" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
      PASSWORD :'worker_verifier';
ALTER ROLE :"api" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
      PASSWORD :'api_verifier';
GRANT oncomentor_worker TO :"worker";
GRANT oncomentor_api TO :"api";

-- The owner owns what migrations make; a server-wide default makes it reach nobody else.
SELECT format('CREATE DATABASE %I OWNER %I', :'service', :'owner')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'service')
\gexec
ALTER DATABASE :"service" OWNER TO :"owner";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"service" TO :"worker", :"api";

\connect :service
SELECT pg_advisory_lock(7011, 1);
ALTER SCHEMA public OWNER TO :"owner";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO oncomentor_worker, oncomentor_api;
