SELECT tablespace_name, bytes FROM dba_temp_files
