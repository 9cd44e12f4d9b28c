SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), index_name, index_type, table_owner, table_name, table_type FROM user_indexes
