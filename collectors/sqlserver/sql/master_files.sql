-- The files of all databases, including those that cannot be entered. FILESTREAM containers have 0 pages here.
-- Needs: VIEW ANY DEFINITION; without it rows are missing, without an error. Azure SQL Database does not have this
-- view.
-- Columns: id of the database, type of the file, pages of 8 KB.
SELECT f.database_id AS database_id, f.type AS type, CAST(f.size AS bigint) AS pages
FROM sys.master_files AS f
