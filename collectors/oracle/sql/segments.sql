-- Every segment of the container. The server may read the header of each, so this is read once for all tablespaces.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_segments; without it ORA-00942 (01031, 41900).
-- Columns: owner, name, type, tablespace, bytes (NULL while offline).
SELECT owner, segment_name, segment_type, tablespace_name, bytes FROM dba_segments
