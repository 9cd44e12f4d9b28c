-- The account's own tables whose rows are outside the database.
-- Needs: nothing.
-- Columns: owner, name.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name FROM user_external_tables
