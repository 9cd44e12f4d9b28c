SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), segment_name, segment_type, tablespace_name, bytes FROM user_segments
