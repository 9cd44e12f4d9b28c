-- What one table or view is (MariaDB). Two constants keep the server from reading the definition of any other.
-- Needs: a privilege on the table.
-- Columns: schema, name, type, engine or NULL when it is locked or broken, nothing, nothing, nothing.
SELECT table_schema, table_name, table_type, engine, NULL, NULL, NULL
FROM information_schema.tables
WHERE table_schema = ?
  AND table_name = ?
