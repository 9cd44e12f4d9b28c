-- Bytes of the relations with the oids $1, in that order. One that is exclusively locked, or that somebody waits to lock, itself or
-- by its TOAST or an index of either, is not sized: that would wait. One that is gone has NULL bytes, too.
-- The locks are an array, so that they are read once and before anything is sized, on every version; each OFFSET keeps what it
-- ends from being computed more than once.
-- Needs: CONNECT on the database, nothing else.
-- Columns: oid, was sized, bytes of table with TOAST and maps, bytes of all indexes, bytes of the main fork of a table that has more
-- bytes than $2 says that it has when empty.
SELECT s.oid, s.free, s.data, CASE WHEN s.free THEN pg_catalog.pg_indexes_size(s.oid::pg_catalog.oid) END,
    CASE WHEN s.data > s.empty THEN pg_catalog.pg_relation_size(s.oid::pg_catalog.oid, 'main') END
FROM (
    SELECT a.oid, a.empty, a.free, CASE WHEN a.free THEN pg_catalog.pg_table_size(a.oid::pg_catalog.oid) END AS data
    FROM (
        SELECT u.oid, u.empty, u.oid <> ALL (ARRAY(
            SELECT coalesce(o.oid, i.indrelid, l.relation)::bigint
            FROM pg_catalog.pg_locks AS l
            LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = l.relation
            LEFT JOIN pg_catalog.pg_class AS o ON o.reltoastrelid = coalesce(i.indrelid, l.relation)
            WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
              AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
        )) AS free
        FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS u (oid, empty)
        OFFSET 0
    ) AS a
    OFFSET 0
) AS s
