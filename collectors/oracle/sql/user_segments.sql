-- The account's own segments in all tablespaces. The server may read the header of each, so this is read once.
-- Needs: nothing.
-- Columns: owner, name, type, tablespace, bytes (NULL while offline).
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), segment_name, segment_type, tablespace_name, bytes FROM user_segments
