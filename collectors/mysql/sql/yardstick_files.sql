-- The InnoDB tablespaces of single tables, by name (MySQL 8 and later).
-- Needs: PROCESS; without it error 1227.
-- Columns: id, name, bytes of the file, bytes allocated on disk.
SELECT space, name, file_size, allocated_size
FROM information_schema.innodb_tablespaces
WHERE space_type = 'Single'
