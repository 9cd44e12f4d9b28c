-- The account's own clusters.
-- Needs: nothing.
-- Columns: owner, name, tablespace.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), cluster_name, tablespace_name FROM user_clusters
