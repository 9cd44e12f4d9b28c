-- The database that the current one is a snapshot of.
-- Needs: nothing.
-- Columns: id of the source database, NULL if it is no snapshot.
SELECT d.source_database_id AS source_database_id
FROM sys.databases AS d
WHERE d.database_id = DB_ID()
