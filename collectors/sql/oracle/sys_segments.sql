SELECT owner, segment_name, segment_type, tablespace_name, bytes FROM sys.dba_segments
