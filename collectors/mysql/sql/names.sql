-- The tables of one schema (MySQL), with no column for which the server opens them.
-- Needs: a privilege on each table; others are missing, without an error.
-- Columns: schema, name, type, engine, create options.
SELECT table_schema, table_name, table_type, engine, create_options
FROM information_schema.tables
WHERE table_schema = ?
  AND table_type NOT IN ('VIEW', 'SYSTEM VIEW', 'TEMPORARY')
