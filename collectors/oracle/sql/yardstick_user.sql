-- The server's own sums of the account's own segments.
-- Needs: nothing.
-- Columns: tablespace, owner, type of the segments, bytes.
SELECT tablespace_name, SYS_CONTEXT('USERENV', 'SESSION_USER'), segment_type, SUM(bytes)
FROM user_segments
GROUP BY tablespace_name, segment_type
