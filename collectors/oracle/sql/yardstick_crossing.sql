-- Owners of indexes on tables of other owners.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_indexes; without it ORA-00942.
-- Columns: owner of the index, owner of the table.
SELECT DISTINCT owner, table_owner
FROM dba_indexes
WHERE owner <> table_owner
