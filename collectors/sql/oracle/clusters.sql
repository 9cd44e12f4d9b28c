SELECT owner, cluster_name, tablespace_name FROM dba_clusters
