-- The InnoDB tablespaces of one schema, or of all tables if its name is empty (MySQL 8 and later). Names are
-- schema/table, unencoded.
-- Needs: PROCESS; without it error 1227.
-- Columns: id, name, schema and table (always NULL), flags, bytes of the file, bytes allocated on disk.
SELECT space, name, NULL AS in_schema, NULL AS in_table, flag, file_size, allocated_size
FROM information_schema.innodb_tablespaces
WHERE name LIKE CONCAT(?, '%/%')
