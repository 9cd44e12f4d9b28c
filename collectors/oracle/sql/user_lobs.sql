-- The account's own part of: every LOB column.
-- Needs: nothing.
-- Columns: owner and name of the table, its segment, the index of that.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name, segment_name, index_name FROM user_lobs
