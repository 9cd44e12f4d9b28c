-- The sizes of the tables of one schema, for servers that open no tables for that (MySQL 8 with
-- information_schema_stats_expiry 0).
-- Needs: a privilege on each table.
-- Columns: schema, name, rows, bytes of data, bytes of indexes.
SELECT table_schema, table_name, table_rows, data_length, index_length
FROM information_schema.tables
WHERE table_schema = ?
  AND engine NOT IN ('FEDERATED', 'MRG_MYISAM', 'PERFORMANCE_SCHEMA')
