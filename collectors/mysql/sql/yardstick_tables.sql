-- The tables and partitions of one schema, from whose names those of their tablespaces follow (MySQL 8 and later).
-- Needs: a privilege on each table; others are missing, without an error.
-- Columns: schema, table, partition or NULL, subpartition or NULL, create options.
SELECT p.table_schema, p.table_name, p.partition_name, p.subpartition_name, t.create_options
FROM information_schema.partitions AS p
JOIN information_schema.tables AS t ON t.table_schema = p.table_schema
    AND CAST(t.table_name AS BINARY) = CAST(p.table_name AS BINARY)
WHERE p.table_schema = ? AND t.engine = 'InnoDB'
