-- What the server is.
-- Needs: nothing.
-- Columns: version number, version text, bytes of a block.
SELECT pg_catalog.current_setting('server_version_num')::int, pg_catalog.version(), pg_catalog.current_setting('block_size')::bigint
