-- What the tables and views of one schema are (MariaDB), for which the server reads the definition of each but opens none.
-- Needs: a privilege on each table; others are missing, without an error.
-- Columns: schema, name, type, engine or NULL for one that is locked or broken.
SELECT table_schema, table_name, table_type, engine
FROM information_schema.tables
WHERE table_schema = ?
