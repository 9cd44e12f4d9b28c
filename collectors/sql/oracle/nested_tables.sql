SELECT owner, table_name, parent_table_name FROM dba_nested_tables
