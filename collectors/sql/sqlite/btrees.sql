-- Which table each b-tree belongs to.
-- Needs: a file that can be read.
-- Columns: name of the b-tree, "table" or "index", name of its table.
SELECT s.name, s.type, s.tbl_name
FROM sqlite_schema AS s
WHERE s.rootpage > 0
