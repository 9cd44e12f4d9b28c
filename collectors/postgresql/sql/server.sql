-- What the server is, and whether it lets the account list the files of its data directory and see the memory of its own
-- server process. Where a function or view is missing, it does not; before version 11 only superusers can list files.
-- Needs: nothing.
-- Columns: version number, version text, bytes of a block, oid of the current database, may list files, may see memory.
SELECT s.number, pg_catalog.version(), pg_catalog.current_setting('block_size')::bigint, d.oid::bigint,
    s.number >= 110000
        AND coalesce(pg_catalog.has_function_privilege(pg_catalog.to_regprocedure('pg_catalog.pg_ls_dir(text,boolean,boolean)')::pg_catalog.oid, 'EXECUTE'), false)
        AND coalesce(pg_catalog.has_function_privilege(pg_catalog.to_regprocedure('pg_catalog.pg_stat_file(text,boolean)')::pg_catalog.oid, 'EXECUTE'), false),
    coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass('pg_catalog.pg_backend_memory_contexts')::pg_catalog.oid, 'SELECT'), false)
FROM (SELECT pg_catalog.current_setting('server_version_num')::int AS number) AS s
JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
