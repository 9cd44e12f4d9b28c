-- Memory used by memory-optimized tables (2014 and later).
-- Since: 2014 (12.x).
-- Needs: VIEW DATABASE STATE, since 2022 VIEW DATABASE PERFORMANCE STATE; without it error 262, 297 or 300.
-- Columns: object, KB of rows, KB of indexes.
SELECT m.object_id AS object_id, m.memory_used_by_table_kb AS table_kb, m.memory_used_by_indexes_kb AS index_kb
FROM sys.dm_db_xtp_table_memory_stats AS m
