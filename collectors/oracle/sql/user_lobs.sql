-- The account's own LOB columns.
-- Needs: nothing.
-- Columns: owner and name of the table, LOB segment, index of the LOB segment.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), table_name, segment_name, index_name FROM user_lobs
