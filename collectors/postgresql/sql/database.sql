-- The database we are connected to, whatever its name.
-- Needs: nothing.
-- Columns: oid.
SELECT d.oid::bigint
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
