-- The account's own tables: relational and object tables, including those that store parts of other tables.
-- Needs: nothing.
-- Columns: owner, name, tablespace (NULL if partitioned, index-organized, temporary or external), owner and name of
-- the cluster, index-organized table of an overflow or mapping table, is temporary, stores a domain index, is in the
-- recycle bin, has a segment, rows by the statistics, time of the statistics.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name, tablespace_name, cluster_owner, cluster_name, iot_name, temporary, secondary,
  dropped, segment_created, num_rows, last_analyzed
FROM user_all_tables
