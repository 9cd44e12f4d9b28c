-- The InnoDB tablespaces of single tables, by id (MariaDB, MySQL 5.7). Names of shared ones have no '/'.
-- Needs: PROCESS; without it error 1227.
-- Columns: id, bytes of the file, bytes allocated on disk.
SELECT space, file_size, allocated_size
FROM information_schema.innodb_sys_tablespaces
WHERE name LIKE '%/%'
