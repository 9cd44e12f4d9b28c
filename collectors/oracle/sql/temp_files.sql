-- The files of temporary tablespaces.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_temp_files; without it ORA-00942 (01031, 41900).
-- Columns: tablespace, bytes (NULL while offline).
SELECT tablespace_name, bytes FROM dba_temp_files
