-- The tablespaces that the account may use.
-- Needs: nothing.
-- Columns: name, contents.
SELECT tablespace_name, contents FROM user_tablespaces
