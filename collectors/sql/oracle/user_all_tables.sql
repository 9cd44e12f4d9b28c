SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name, tablespace_name, cluster_owner, cluster_name, iot_name, temporary, secondary,
  dropped, segment_created, num_rows, last_analyzed
FROM user_all_tables
