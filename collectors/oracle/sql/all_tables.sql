-- Every table of the container: relational and object tables, the storage of others among them.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_all_tables; without it ORA-00942 (01031, 41900).
-- Columns: owner, name, tablespace (NULL when partitioned, index-organized, temporary or external), cluster, the index-
-- organized table it is a part of, temporary, storage of a domain index, in the recycle bin, has a segment, rows by the
-- statistics and when they were gathered.
SELECT owner, table_name, tablespace_name, cluster_owner, cluster_name, iot_name, temporary, secondary,
  dropped, segment_created, num_rows, last_analyzed
FROM dba_all_tables
