-- Every table of the container: relational and object tables, including those that store parts of other tables.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_all_tables; without it ORA-00942 (01031, 41900).
-- Columns: owner, name, tablespace (NULL if partitioned, index-organized, temporary or external), owner and name of
-- the cluster, index-organized table of an overflow or mapping table, is temporary, stores a domain index, is in the
-- recycle bin, has a segment, rows by the statistics, time of the statistics.
SELECT owner, table_name, tablespace_name, cluster_owner, cluster_name, iot_name, temporary, secondary,
  dropped, segment_created, num_rows, last_analyzed
FROM dba_all_tables
