-- Every user.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_users; without it ORA-00942 (01031, 41900).
-- Columns: name, default tablespace.
SELECT username, default_tablespace FROM dba_users
