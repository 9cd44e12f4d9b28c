-- The account's own part of: every tablespace.
-- Needs: nothing.
-- Columns: name, contents.
SELECT tablespace_name, contents FROM user_tablespaces
