-- Whose database this is: written when it is first migrated, read at every start, so that a service
-- that was given another one's address says so instead of working on foreign tables.
CREATE TABLE kit.service (
    only_row boolean PRIMARY KEY DEFAULT true,
    name text NOT NULL,
    CONSTRAINT service_is_one CHECK (only_row)
);
GRANT SELECT ON kit.service TO oncomentor_worker, oncomentor_api;
