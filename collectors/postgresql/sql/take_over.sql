-- Sets what a session can set: the variables $1 to the values $2, and every other one that is not as the server was built to what it
-- was built with. It does so for the session if the server process is $3 and not $4, else for the current transaction only.
-- It runs before the search path is ours, so everything it names says where it is from. Left out are variables that this version
-- lacks, those of extensions, and those that BEGIN has set.
-- It also tells which server this is. Its start, in microseconds, tells it from its standbys, whose system identifier is its own.
-- Needs: nothing.
-- Columns: number of the server process, start of the server with its role and address, how many variables were set.
SELECT p.id,
    pg_catalog.concat_ws(' ',
        pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.pg_postmaster_start_time()), 'YYYY-MM-DD HH24:MI:SS.US'),
        pg_catalog.pg_is_in_recovery(), pg_catalog.inet_server_addr(), pg_catalog.inet_server_port()),
    (
        SELECT pg_catalog.count(pg_catalog.set_config(v.name, v.value, $4::pg_catalog.bool OR p.id OPERATOR(pg_catalog.<>) $3::pg_catalog.int8))
        FROM (
            SELECT s.name, coalesce(w.value, s.boot_val) AS value
            FROM pg_catalog.pg_settings AS s
            LEFT JOIN ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS w (name, value)
                ON s.name OPERATOR(pg_catalog.=) w.name
            WHERE w.name IS NOT NULL OR s.context OPERATOR(pg_catalog.=) 'user' AND s.setting OPERATOR(pg_catalog.<>) s.boot_val
                AND pg_catalog.strpos(s.name, '.') OPERATOR(pg_catalog.=) 0
                AND s.name OPERATOR(pg_catalog.<>) ALL ('{transaction_deferrable,transaction_isolation,transaction_read_only}')
        ) AS v
    )
FROM (SELECT pg_catalog.pg_backend_pid()::pg_catalog.int8) AS p (id)
