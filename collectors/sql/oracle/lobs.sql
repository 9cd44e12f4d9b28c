SELECT owner, table_name, segment_name, index_name FROM dba_lobs
