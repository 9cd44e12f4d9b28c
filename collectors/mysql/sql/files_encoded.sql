-- The InnoDB tablespaces of one schema, or with NULL those of all tables (MariaDB, MySQL 5.7). Names are file names, which
-- only the server itself decodes without fail; it is asked to where one has an '@', since any other stands for itself. '/' and
-- '#' are never part of an encoded name, and '@@@' ends one that Windows reserves.
-- Needs: PROCESS; without it error 1227.
-- Columns: id, name, schema and table where the name does not tell them, flags, bytes of the file, bytes allocated on disk.
SELECT space, name,
    IF(name LIKE '%@%', CONVERT(CONVERT(CAST(TRIM(TRAILING '@@@' FROM SUBSTRING_INDEX(name, '/', 1)) AS BINARY)
        USING filename) USING utf8mb4), NULL),
    IF(name LIKE '%@%', CONVERT(CONVERT(CAST(TRIM(TRAILING '@@@' FROM SUBSTRING_INDEX(SUBSTRING_INDEX(name, '/', -1), '#', 1))
        AS BINARY) USING filename) USING utf8mb4), NULL),
    flag, file_size, allocated_size
FROM information_schema.innodb_sys_tablespaces
WHERE REPLACE(name, '@@@/', '/')
    LIKE CONCAT(COALESCE(REPLACE(CONVERT(CONVERT(CAST(? AS CHAR) USING filename) USING binary), '_', '\\_'), '%'), '/%')
