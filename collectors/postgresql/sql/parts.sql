-- The relations that have files, and whose they are: a table's own, its TOAST's, the one of the index of its TOAST, and those of
-- its indexes. An index that is being dropped belongs to none, as for the server's size functions.
-- Needs: nothing.
-- Columns: oid of the table, is an index of the table, is the table itself, has no files, oid of the tablespace, number in the
-- names of the files (0: not in the catalogue), was changed by the transaction $1 or a later one.
SELECT coalesce(o.oid, i.indrelid, c.oid)::bigint, o.oid IS NULL AND i.indrelid IS NOT NULL, c.relkind IN ('r', 'm', 'p'), c.relkind = 'p',
    CASE WHEN c.reltablespace = 0 THEN d.dattablespace ELSE c.reltablespace END::bigint, c.relfilenode::bigint,
    pg_catalog.age(c.xmin) <= pg_catalog.age($1::pg_catalog.text::pg_catalog.xid)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid AND i.indislive
LEFT JOIN pg_catalog.pg_class AS o ON o.reltoastrelid = coalesce(i.indrelid, c.oid) AND c.relkind IN ('t', 'i')
WHERE c.relkind IN ('r', 'm', 'p', 't', 'i') AND c.relpersistence <> 't'
