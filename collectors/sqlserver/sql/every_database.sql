-- Whether sys.databases hides none.
-- Needs: nothing.
-- Columns: 1 if none is hidden.
SELECT HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY DATABASE') AS every_database
