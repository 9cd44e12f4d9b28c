-- The size of one table. With both names given the server opens no other.
-- Needs: a privilege on the table.
-- Columns: schema, name, type, engine, rows, bytes of data, bytes of indexes.
SELECT table_schema, table_name, table_type, engine, table_rows, data_length, index_length
FROM information_schema.tables
WHERE table_schema = ?
  AND table_name = ?
