-- Size of the database with the oid $1. No row, or no bytes although allowed: it is gone.
-- Needs: CONNECT on the database, or membership of pg_read_all_stats; without either allowed is false, not an error.
-- Columns: allowed, bytes.
SELECT a.allowed, CASE WHEN a.allowed THEN pg_catalog.pg_database_size(d.oid) END
FROM pg_catalog.pg_database AS d
CROSS JOIN LATERAL (
    SELECT pg_catalog.has_database_privilege(d.oid, 'CONNECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS allowed
) AS a
WHERE d.oid = $1::bigint::pg_catalog.oid
