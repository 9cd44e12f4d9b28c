-- The account's own nested tables.
-- Needs: nothing.
-- Columns: owner, storage table, parent table.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name, parent_table_name FROM user_nested_tables
