SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name, segment_name, index_name FROM user_lobs
