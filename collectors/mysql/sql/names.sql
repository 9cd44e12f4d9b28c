-- The tables of one schema on MySQL, without a column that would open any of them.
-- Needs: a privilege on each table; others are missing, without an error.
-- Columns: schema, name, type, engine, create options.
SELECT table_schema, table_name, table_type, engine, create_options
FROM information_schema.tables
WHERE table_schema = ?
  AND table_type NOT IN ('VIEW', 'SYSTEM VIEW', 'TEMPORARY')
