SELECT username, default_tablespace FROM dba_users
