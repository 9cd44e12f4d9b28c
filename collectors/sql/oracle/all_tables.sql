SELECT owner, table_name, tablespace_name, cluster_owner, cluster_name, iot_name, temporary, secondary,
  dropped, segment_created, num_rows, last_analyzed
FROM dba_all_tables
