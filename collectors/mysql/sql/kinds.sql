-- The kinds of the tables and views of one schema (MariaDB). The server reads the definition of each but opens none.
-- Needs: a privilege on each table; others are missing, without an error.
-- Columns: schema, name, type, engine or NULL if it is locked or broken.
SELECT table_schema, table_name, table_type, engine
FROM information_schema.tables
WHERE table_schema = ?
