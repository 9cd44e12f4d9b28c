-- What InnoDB keeps of one schema in tablespaces that tables share (MariaDB, MySQL 5.7): tables, and those that full-text indexes
-- are made of, which are named after the id of their table. Names are file names, as in files_encoded.sql.
-- Needs: PROCESS; without it error 1227.
-- Columns: id, name, table where the name does not tell it.
SELECT table_id, name,
    IF(name LIKE '%@%', CONVERT(CONVERT(CAST(TRIM(TRAILING '@@@' FROM SUBSTRING_INDEX(SUBSTRING_INDEX(name, '/', -1), '#', 1))
        AS BINARY) USING filename) USING utf8mb4), NULL)
FROM information_schema.innodb_sys_tables
WHERE space_type <> 'Single'
  AND REPLACE(name, '@@@/', '/')
    LIKE CONCAT(REPLACE(CONVERT(CONVERT(CAST(? AS CHAR) USING filename) USING binary), '_', '\\_'), '/%')
