-- The peak memory of our connection (MySQL 8.0.31 and later).
-- Needs: SELECT on performance_schema.threads; without it error 1142.
-- Columns: bytes.
SELECT max_total_memory
FROM performance_schema.threads
WHERE processlist_id = CONNECTION_ID()
