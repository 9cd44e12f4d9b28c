SELECT tablespace_name, bytes FROM dba_data_files
