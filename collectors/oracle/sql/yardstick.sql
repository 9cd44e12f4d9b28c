-- The server's own sums of all segments.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_segments; without it ORA-00942.
-- Columns: tablespace, owner, type of the segments, bytes.
SELECT tablespace_name, owner, segment_type, SUM(bytes)
FROM dba_segments
GROUP BY tablespace_name, owner, segment_type
