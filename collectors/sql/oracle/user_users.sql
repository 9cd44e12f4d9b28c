SELECT username, default_tablespace FROM user_users
