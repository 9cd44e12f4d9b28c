-- The account's own part of: every nested table.
-- Needs: nothing.
-- Columns: owner, storage table, the table around it.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name, parent_table_name FROM user_nested_tables
