-- The tables and views of one schema on MariaDB, without a column for which it would read their definitions.
-- Needs: a privilege on each table; others are missing, without an error.
-- Columns: schema, name.
SELECT table_schema, table_name
FROM information_schema.tables
WHERE table_schema = ?
