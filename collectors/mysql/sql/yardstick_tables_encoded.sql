-- Every table and partition that InnoDB itself knows, with the id of its tablespace (MariaDB, MySQL 5.7); 0 is shared. Bit 7
-- of the flags is set for a page-compressed table.
-- Needs: PROCESS; without it error 1227.
-- Columns: id of the table, id of its tablespace, flags, schema, table, the part of its file name behind the schema.
SELECT table_id, space, flag,
    CONVERT(CONVERT(CAST(SUBSTRING_INDEX(name, '/', 1) AS BINARY) USING filename) USING utf8mb4),
    CONVERT(CONVERT(CAST(TRIM(TRAILING '@@@' FROM SUBSTRING_INDEX(SUBSTRING_INDEX(name, '/', -1), '#', 1)) AS BINARY)
        USING filename) USING utf8mb4),
    SUBSTRING_INDEX(name, '/', -1)
FROM information_schema.innodb_sys_tables
WHERE space <> 0
