SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name FROM user_external_tables
