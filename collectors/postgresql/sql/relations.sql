-- Every relation that can hold rows, temporary ones left out. Foreign tables are wanted for partition trees.
-- Needs: nothing; pg_class is readable by all.
-- Columns: oid, schema, name, relkind, is a partition, has TOAST, rows by the statistics, blocks by the statistics.
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::pg_catalog.text, c.relispartition, c.reltoastrelid <> 0, c.reltuples::pg_catalog.float8,
    c.relpages::bigint
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p', 'f') AND c.relpersistence <> 't'
