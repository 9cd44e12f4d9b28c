-- The InnoDB tablespaces of one schema, or of all tables if it is NULL (MariaDB, MySQL 5.7). Names are file names,
-- which only the server decodes reliably. It decodes those with an '@'; any other name needs no decoding. An encoded
-- name has no '/' or '#', and ends with '@@@' if Windows reserves it.
-- Needs: PROCESS; without it error 1227.
-- Columns: id, name, schema and table or NULL for a name without '@', flags, bytes of the file, bytes allocated on
-- disk.
SELECT space, name,
    IF(name LIKE '%@%', CONVERT(CONVERT(CAST(TRIM(TRAILING '@@@' FROM SUBSTRING_INDEX(name, '/', 1)) AS BINARY)
        USING filename) USING utf8mb4), NULL) AS in_schema,
    IF(name LIKE '%@%', CONVERT(CONVERT(CAST(TRIM(TRAILING '@@@'
        FROM SUBSTRING_INDEX(SUBSTRING_INDEX(name, '/', -1), '#', 1)) AS BINARY) USING filename) USING utf8mb4), NULL)
        AS in_table,
    flag, file_size, allocated_size
FROM information_schema.innodb_sys_tablespaces
WHERE REPLACE(name, '@@@/', '/')
    LIKE CONCAT(COALESCE(REPLACE(CONVERT(CONVERT(CAST(? AS CHAR) USING filename) USING binary), '_', '\\_'), '%'),
        '/%')
