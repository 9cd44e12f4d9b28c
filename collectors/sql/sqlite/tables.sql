-- Tables that have storage: no views, no virtual tables.
-- Needs: a file that can be read.
-- Columns: name, "table" or "shadow" (storage of a virtual table), 1 for WITHOUT ROWID.
SELECT l.name, l.type, l.wr
FROM pragma_table_list AS l
WHERE l.schema = 'main' AND l.type IN ('table', 'shadow')
