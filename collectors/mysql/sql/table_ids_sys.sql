-- The tablespace of each InnoDB table (MariaDB, MySQL 5.7), for full-text files, which are named after the table's id.
-- Needs: PROCESS; without it error 1227.
-- Columns: id of the table, id of its tablespace.
SELECT table_id, space
FROM information_schema.innodb_sys_tables
