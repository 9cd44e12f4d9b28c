-- The account's own part of: every table of the container: relational and object tables, the storage of others among
-- them.
-- Needs: nothing.
-- Columns: owner, name, tablespace (NULL when partitioned, index-organized, temporary or external), cluster, the index-
-- organized table it is a part of, temporary, storage of a domain index, in the recycle bin, has a segment, rows by the
-- statistics and when they were gathered.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name, tablespace_name, cluster_owner, cluster_name, iot_name, temporary, secondary,
  dropped, segment_created, num_rows, last_analyzed
FROM user_all_tables
