-- InnoDB's own list of tables and partitions with the ids of their tablespaces (MariaDB, MySQL 5.7), except those in
-- the system tablespace, whose id is 0. Bit 7 of the flags is set for a page-compressed table.
-- Needs: PROCESS; without it error 1227.
-- Columns: id of the table, id of its tablespace, flags, schema, table, its file name without the schema.
SELECT table_id, space, flag,
    CONVERT(CONVERT(CAST(SUBSTRING_INDEX(name, '/', 1) AS BINARY) USING filename) USING utf8mb4),
    CONVERT(CONVERT(CAST(TRIM(TRAILING '@@@' FROM SUBSTRING_INDEX(SUBSTRING_INDEX(name, '/', -1), '#', 1)) AS BINARY)
        USING filename) USING utf8mb4),
    SUBSTRING_INDEX(name, '/', -1)
FROM information_schema.innodb_sys_tables
WHERE space <> 0
