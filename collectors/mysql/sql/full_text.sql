-- The tables of one schema that have full-text indexes (MySQL 8 and later).
-- Needs: a privilege on each table; others are missing, without an error.
-- Columns: schema, name.
SELECT DISTINCT table_schema, table_name
FROM information_schema.statistics
WHERE table_schema = ?
  AND index_type = 'FULLTEXT'
