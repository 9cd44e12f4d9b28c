-- InnoDB's persistent statistics of one schema, one row per partition.
-- Needs: SELECT on mysql.innodb_table_stats; without it error 1142.
-- Columns: table or table#P#partition, rows, pages of data, pages of other indexes.
SELECT table_name, n_rows, clustered_index_size, sum_of_other_index_sizes
FROM mysql.innodb_table_stats
WHERE database_name = ?
