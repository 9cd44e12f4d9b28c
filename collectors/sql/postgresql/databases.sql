-- Every database that is no template.
-- Needs: nothing.
-- Columns: oid, name.
SELECT d.oid::bigint, d.datname
FROM pg_catalog.pg_database AS d
WHERE NOT d.datistemplate
