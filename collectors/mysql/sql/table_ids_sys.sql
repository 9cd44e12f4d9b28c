-- Which tablespace each InnoDB table is in (MariaDB, MySQL 5.7): full-text files are named after the table's id.
-- Needs: PROCESS; without it error 1227.
-- Columns: id of the table, id of its tablespace.
SELECT table_id, space
FROM information_schema.innodb_sys_tables
