SELECT tablespace_name, contents FROM user_tablespaces
