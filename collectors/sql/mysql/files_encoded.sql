-- Every InnoDB tablespace of the instance (MariaDB, MySQL 5.7). Names are file names, which only the server itself decodes
-- without fail; '/' and '#' are never part of an encoded name, and '@@@' ends one that Windows reserves.
-- Needs: PROCESS; without it error 1227.
-- Columns: id, name, schema, table, flags, bytes of the file, bytes allocated on disk.
SELECT space, name,
    CONVERT(CONVERT(CAST(SUBSTRING_INDEX(name, '/', 1) AS BINARY) USING filename) USING utf8mb4),
    CONVERT(CONVERT(CAST(TRIM(TRAILING '@@@' FROM SUBSTRING_INDEX(SUBSTRING_INDEX(name, '/', -1), '#', 1)) AS BINARY)
        USING filename) USING utf8mb4),
    flag, file_size, allocated_size
FROM information_schema.innodb_sys_tablespaces
