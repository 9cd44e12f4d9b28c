-- The files of the current database.
-- Needs: nothing.
-- Columns: type of the file, pages of 8 KB.
SELECT f.type AS type, CAST(f.size AS bigint) AS pages
FROM sys.database_files AS f
