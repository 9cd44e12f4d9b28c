SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name, parent_table_name FROM user_nested_tables
