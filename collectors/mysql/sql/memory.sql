-- The peak memory of our connection (MariaDB 10.4 and later).
-- Needs: nothing.
-- Columns: bytes.
SELECT max_memory_used
FROM information_schema.processlist
WHERE id = CONNECTION_ID()
