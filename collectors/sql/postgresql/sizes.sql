-- Bytes of the relations with the oids $1. One that is exclusively locked, or that somebody waits to lock, itself or by
-- one of its indexes, has no row: sizing it would wait. One that is gone has NULL bytes.
-- The locks are an array, so that they are read once and before anything is sized, on every version.
-- Needs: CONNECT on the database, nothing else.
-- Columns: oid, bytes of table with TOAST and maps, bytes of all indexes, bytes of the main fork.
SELECT a.oid, pg_catalog.pg_table_size(a.oid::pg_catalog.oid), pg_catalog.pg_indexes_size(a.oid::pg_catalog.oid),
    pg_catalog.pg_relation_size(a.oid::pg_catalog.oid, 'main')
FROM pg_catalog.unnest($1::bigint[]) AS a (oid)
WHERE a.oid <> ALL (ARRAY(
    SELECT coalesce(i.indrelid, l.relation)::bigint
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = l.relation
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
))
