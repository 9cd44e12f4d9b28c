-- The tables and views of one schema (MariaDB), with no column for which the server reads their definitions.
-- Needs: a privilege on each table; others are missing, without an error.
-- Columns: schema, name.
SELECT table_schema, table_name
FROM information_schema.tables
WHERE table_schema = ?
