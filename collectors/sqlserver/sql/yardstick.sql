-- The tables and indexed views to call sp_spaceused for.
-- Needs: VIEW DEFINITION or a right on each object; others are missing, without an error.
-- Columns: schema, name.
SELECT s.name AS schema_name, t.name AS name
FROM sys.tables AS t
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE t.name NOT LIKE '#%'
UNION ALL
SELECT s.name AS schema_name, v.name AS name
FROM sys.views AS v
JOIN sys.schemas AS s ON s.schema_id = v.schema_id
JOIN sys.indexes AS i ON i.object_id = v.object_id
WHERE i.index_id = 1
