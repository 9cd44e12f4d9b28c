-- Virtual tables, which have no storage of their own.
-- Needs: a file that can be read, attached as target.
-- Columns: name.
SELECT s.name
FROM target.sqlite_schema AS s
WHERE s.type = 'table' AND s.rootpage = 0
