-- The kind of one table or view (MariaDB). With both names given the server reads no other definition.
-- Needs: a privilege on the table.
-- Columns: schema, name, type, engine or NULL if it is locked or broken, NULL, NULL, NULL.
SELECT table_schema, table_name, table_type, engine, NULL, NULL, NULL
FROM information_schema.tables
WHERE table_schema = ?
  AND table_name = ?
