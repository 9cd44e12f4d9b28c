-- Every nested table.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_nested_tables; without it ORA-00942 (01031, 41900).
-- Columns: owner, storage table, parent table.
SELECT owner, table_name, parent_table_name FROM dba_nested_tables
