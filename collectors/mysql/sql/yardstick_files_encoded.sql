-- Every InnoDB tablespace of a single table by its id (MariaDB, MySQL 5.7); shared ones have no '/' in their names.
-- Needs: PROCESS; without it error 1227.
-- Columns: id, bytes of the file, bytes allocated on disk.
SELECT space, file_size, allocated_size
FROM information_schema.innodb_sys_tablespaces
WHERE name LIKE '%/%'
