-- Every cluster.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_clusters; without it ORA-00942 (01031, 41900).
-- Columns: owner, name, tablespace.
SELECT owner, cluster_name, tablespace_name FROM dba_clusters
