-- Which server this is, and whether its session is as we asked for. It may run before the search path is ours, so everything it
-- names says where it is from. The start of a server, in microseconds, tells it from its standbys, whose system identifier is its own.
-- Needs: nothing.
-- Columns: search path, number of the server process, start of the server with its role and address.
SELECT pg_catalog.current_setting('search_path'), pg_catalog.pg_backend_pid()::pg_catalog.int8,
    pg_catalog.concat_ws(' ',
        pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.pg_postmaster_start_time()), 'YYYY-MM-DD HH24:MI:SS.US'),
        pg_catalog.pg_is_in_recovery(), pg_catalog.inet_server_addr(), pg_catalog.inet_server_port())
