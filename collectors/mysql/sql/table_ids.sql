-- Which tablespace each InnoDB table is in (MySQL 8 and later): full-text files are named after the table's id.
-- Needs: PROCESS; without it error 1227.
-- Columns: id of the table, id of its tablespace.
SELECT table_id, space
FROM information_schema.innodb_tables
