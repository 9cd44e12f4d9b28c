-- The memory-optimized tables (2014).
-- Since: 2014 (12.x).
-- Needs: VIEW DEFINITION or a right on each table; others are missing, without an error.
-- Columns: id, schema, name, created by the engine, is a history table, id of its history table, is memory-optimized,
-- is external.
SELECT t.object_id AS object_id, t.schema_id AS schema_id, t.name AS name, t.is_ms_shipped AS is_ms_shipped,
    0 AS is_history, NULL AS history_table_id,
    t.is_memory_optimized AS is_memory_optimized, 0 AS is_external
FROM sys.tables AS t
WHERE t.is_memory_optimized = 1
