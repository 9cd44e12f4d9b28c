SELECT owner, index_name, index_type, table_owner, table_name, table_type FROM dba_indexes
