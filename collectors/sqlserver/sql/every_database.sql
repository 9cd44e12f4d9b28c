-- Whether the account may see every database.
-- Needs: nothing.
-- Columns: 1 if no database is hidden.
SELECT HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY DATABASE') AS every_database
