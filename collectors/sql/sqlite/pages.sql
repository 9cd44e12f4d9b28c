-- Every page of every b-tree: this reads the whole file. The library cannot be interrupted between two rows, so they are
-- added up by the reader, which can stop after each.
-- Needs: a file that can be read, attached as target, and a library with dbstat.
-- Columns: name of the b-tree, bytes, cells, is a leaf (overflow pages are none).
SELECT p.name, p.pgsize, p.ncell, p.pagetype = 'leaf'
FROM main.dbstat AS p
WHERE p.schema = 'target'
