-- Every tablespace.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_tablespaces; without it ORA-00942 (01031, 41900).
-- Columns: name, contents.
SELECT tablespace_name, contents FROM dba_tablespaces
