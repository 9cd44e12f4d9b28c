-- The InnoDB tablespaces of one schema, or with an empty name those of all tables (MySQL 8 and later). Names are schema/table,
-- as they are.
-- Needs: PROCESS; without it error 1227.
-- Columns: id, name, schema and table (not told apart here), flags, bytes of the file, bytes allocated on disk.
SELECT space, name, NULL, NULL, flag, file_size, allocated_size
FROM information_schema.innodb_tablespaces
WHERE name LIKE CONCAT(?, '%/%')
