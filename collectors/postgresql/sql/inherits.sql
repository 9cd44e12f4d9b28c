-- Who is whose child, by inheritance and by partitioning, tables and indexes alike.
-- Needs: nothing.
-- Columns: oid of the child, oid of the parent.
SELECT i.inhrelid::bigint, i.inhparent::bigint
FROM pg_catalog.pg_inherits AS i
