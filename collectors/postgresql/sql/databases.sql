-- Every database but the two templates every server has. Others may be marked as templates and hold data all the same.
-- Needs: nothing.
-- Columns: oid, name.
SELECT d.oid::bigint, d.datname
FROM pg_catalog.pg_database AS d
WHERE d.datname NOT IN ('template0', 'template1')
