-- The account's own part of: every segment of the container. Reading it may visit the header of each, so it is read once
-- for all tablespaces.
-- Needs: nothing.
-- Columns: owner, name, type, tablespace, bytes (NULL while offline).
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), segment_name, segment_type, tablespace_name, bytes FROM user_segments
