-- Every partition of every heap and index, including those of objects that are hidden from the account.
-- Needs: nothing.
-- Columns: id, id of its heap or B-tree, object, index (0 heap, 1 clustered), rows.
SELECT p.partition_id AS partition_id, p.hobt_id AS hobt_id, p.object_id AS object_id, p.index_id AS index_id,
    p.rows AS row_count
FROM sys.partitions AS p
