-- Every page of every b-tree: this reads the whole file. The library cannot be interrupted between two rows, so they are
-- added up by the reader, which can stop after each. dbstat takes the page size of the main schema for that of all, so the
-- file is asked for its own.
-- Needs: a file that can be read, attached as target, and a library with dbstat.
-- Columns: name of the b-tree, bytes, unused bytes (null where dbstat took another page size for the file's), cells, is a
-- leaf (overflow pages are none).
SELECT p.name, s.page_size, CASE WHEN s.page_size = m.page_size THEN p.unused END, p.ncell, p.pagetype = 'leaf'
FROM main.pragma_page_size('target') AS s
CROSS JOIN main.pragma_page_size('main') AS m
CROSS JOIN main.dbstat AS p
WHERE p.schema = 'target'
