-- The InnoDB tables of one schema in shared tablespaces (MariaDB, MySQL 5.7), including the auxiliary tables of
-- full-text indexes, which are named after the id of their table. Names are file names, as in files_encoded.sql.
-- Needs: PROCESS; without it error 1227.
-- Columns: id, name, table or NULL for a name without '@'.
SELECT table_id, name,
    IF(name LIKE '%@%', CONVERT(CONVERT(CAST(TRIM(TRAILING '@@@'
        FROM SUBSTRING_INDEX(SUBSTRING_INDEX(name, '/', -1), '#', 1)) AS BINARY) USING filename) USING utf8mb4), NULL)
FROM information_schema.innodb_sys_tables
WHERE space_type <> 'Single'
  AND REPLACE(name, '@@@/', '/')
    LIKE CONCAT(REPLACE(CONVERT(CONVERT(CAST(? AS CHAR) USING filename) USING binary), '_', '\\_'), '/%')
