-- The account itself.
-- Needs: nothing.
-- Columns: name, default tablespace.
SELECT username, default_tablespace FROM user_users
