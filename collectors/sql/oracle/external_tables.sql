SELECT owner, table_name FROM dba_external_tables
