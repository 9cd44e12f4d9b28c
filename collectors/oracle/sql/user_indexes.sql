-- The account's own indexes.
-- Needs: nothing.
-- Columns: owner, name, type, owner and name of the table or cluster, and which of the two it is.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), index_name, index_type, table_owner, table_name, table_type FROM user_indexes
