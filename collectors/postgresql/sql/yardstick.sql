-- The server's own sizes of up to $2 relations with oids above $1, a partitioned table with everything below it. One that is
-- exclusively locked, or has a part or an index that is, has NULL bytes: sizing it would wait.
-- Needs: CONNECT on the database, nothing else.
-- Columns: oid, schema, name, total bytes, bytes of table with TOAST and maps, bytes of all indexes.
WITH RECURSIVE listed AS (
    SELECT c.oid, n.nspname, c.relname
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND c.oid::bigint > $1::bigint
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)'
    ORDER BY c.oid
    LIMIT $2::bigint
), tree (root, member) AS (
    SELECT l.oid, l.oid
    FROM listed AS l
    UNION ALL
    SELECT t.root, i.inhrelid
    FROM tree AS t
    JOIN pg_catalog.pg_class AS c ON c.oid = t.member AND c.relkind = 'p'
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.member
), locked AS (
    SELECT coalesce(i.indrelid, l.relation) AS relation
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = l.relation
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
), sized AS (
    SELECT t.root, pg_catalog.sum(pg_catalog.pg_total_relation_size(t.member))::bigint AS total,
        pg_catalog.sum(pg_catalog.pg_table_size(t.member))::bigint AS data,
        pg_catalog.sum(pg_catalog.pg_indexes_size(t.member))::bigint AS index
    FROM tree AS t
    WHERE t.root NOT IN (SELECT b.root FROM tree AS b WHERE b.member IN (SELECT x.relation FROM locked AS x))
    GROUP BY t.root
)
SELECT l.oid::bigint, l.nspname, l.relname, s.total, s.data, s.index
FROM listed AS l
LEFT JOIN sized AS s ON s.root = l.oid
ORDER BY l.oid
