-- The tablespace of each InnoDB table (MySQL 8 and later), for full-text files, which are named after the table's id.
-- Needs: PROCESS; without it error 1227.
-- Columns: id of the table, id of its tablespace.
SELECT table_id, space
FROM information_schema.innodb_tables
