-- The temporal, history, memory-optimized and external tables (2016 and later, Azure).
-- Since: 2016 (13.x).
-- Needs: VIEW DEFINITION or a right on each table; others are missing, without an error.
-- Columns: id, schema, name, created by the engine, is a history table, id of its history table, is memory-optimized,
-- is external.
SELECT t.object_id AS object_id, t.schema_id AS schema_id, t.name AS name, t.is_ms_shipped AS is_ms_shipped,
    CASE WHEN t.temporal_type = 1 THEN 1 ELSE 0 END AS is_history, t.history_table_id AS history_table_id,
    t.is_memory_optimized AS is_memory_optimized, t.is_external AS is_external
FROM sys.tables AS t
WHERE t.temporal_type = 1 OR t.history_table_id IS NOT NULL OR t.is_memory_optimized = 1 OR t.is_external = 1
