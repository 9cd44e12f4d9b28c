-- Every segment of the container, for databases without the public synonym dba_segments.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_segments; without it ORA-00942 (01031, 41900).
-- Columns: owner, name, type, tablespace, bytes (NULL while offline).
SELECT owner, segment_name, segment_type, tablespace_name, bytes FROM sys.dba_segments
