-- The tables and the other objects with partitions: indexed views and what the engine stores for itself. A
-- single condition with OR might make the server scan all partitions for each constraint and procedure.
-- Needs: VIEW DEFINITION or a right on each object; others are missing, without an error.
-- Columns: id, schema, name, type (padded), created by the engine.
SELECT o.object_id AS object_id, o.schema_id AS schema_id, o.name AS name, o.type AS type,
    o.is_ms_shipped AS is_ms_shipped
FROM sys.objects AS o
WHERE o.type = 'U'
UNION ALL
SELECT o.object_id AS object_id, o.schema_id AS schema_id, o.name AS name, o.type AS type,
    o.is_ms_shipped AS is_ms_shipped
FROM sys.objects AS o
WHERE o.type <> 'U' AND o.object_id IN (SELECT p.object_id FROM sys.partitions AS p)
