-- Which table each b-tree belongs to. pragma_table_list would tell more, but it resolves every view, which can take for ever.
-- Needs: a file that can be read, attached as target.
-- Columns: name of the b-tree, "table" or "index", name of its table, name of the index of its primary key or NULL.
SELECT s.name, s.type, s.tbl_name, i.name
FROM target.sqlite_schema AS s
LEFT JOIN main.pragma_index_list(s.name, 'target') AS i ON s.type = 'table' AND i.origin = 'pk'
WHERE s.rootpage > 0
