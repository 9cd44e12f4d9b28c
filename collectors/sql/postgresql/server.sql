-- What the server is.
-- Needs: nothing.
-- Columns: version number, version text, bytes of a block.
SELECT current_setting('server_version_num')::int, version(), current_setting('block_size')::bigint
