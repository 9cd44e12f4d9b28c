-- Every index.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_indexes; without it ORA-00942 (01031, 41900).
-- Columns: owner, name, type, owner and name of the table or cluster, and which of the two it is.
SELECT owner, index_name, index_type, table_owner, table_name, table_type FROM dba_indexes
