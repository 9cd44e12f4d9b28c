SELECT tablespace_name, contents FROM dba_tablespaces
