-- The account's own part of: every user.
-- Needs: nothing.
-- Columns: name, default tablespace.
SELECT username, default_tablespace FROM user_users
