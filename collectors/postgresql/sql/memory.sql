-- Memory of our own server process.
-- Needs: PostgreSQL 14 and a superuser, or 15 and pg_read_all_stats.
-- Columns: bytes.
SELECT pg_catalog.sum(m.total_bytes)::bigint
FROM pg_catalog.pg_backend_memory_contexts AS m
