-- The tables of one schema on MariaDB, which would open each of them to tell its create options.
-- Needs: a privilege on each table; others are missing, without an error.
-- Columns: schema, name, type, engine, nothing.
SELECT table_schema, table_name, table_type, engine, NULL
FROM information_schema.tables
WHERE table_schema = ?
  AND table_type NOT IN ('VIEW', 'SYSTEM VIEW', 'TEMPORARY')
