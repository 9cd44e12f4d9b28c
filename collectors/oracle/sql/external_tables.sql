-- Tables whose rows are outside the database.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_external_tables; without it ORA-00942 (01031, 41900).
-- Columns: owner, name.
SELECT owner, table_name FROM dba_external_tables
