-- The account's own part of: every index.
-- Needs: nothing.
-- Columns: owner, name, type, owner and name of the table or cluster, which of the two.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), index_name, index_type, table_owner, table_name, table_type FROM user_indexes
