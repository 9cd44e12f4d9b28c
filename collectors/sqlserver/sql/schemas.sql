-- The schemas of the current database.
-- Needs: nothing.
-- Columns: id, name.
SELECT s.schema_id AS schema_id, s.name AS name
FROM sys.schemas AS s
