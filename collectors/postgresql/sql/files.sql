-- Every file of the current database, in the directory of each tablespace that it has one in. The oids of the tablespaces
-- pg_default and pg_global are fixed. A file that vanishes has NULL bytes.
-- Needs: EXECUTE on pg_ls_dir(text, boolean, boolean) and pg_stat_file(text, boolean).
-- Columns: oid of the tablespace, name of the file, bytes, number of rows of this list.
SELECT s.oid::bigint, f.name, (pg_catalog.pg_stat_file(s.directory || f.name, true)).size, pg_catalog.count(*) OVER ()
FROM (
    SELECT t.oid, CASE WHEN t.oid = 1663 THEN 'base/' || d.oid || '/'
        ELSE 'pg_tblspc/' || t.oid || '/PG_' || pg_catalog.current_setting('server_version_num')::int / 10000 || '_'
            || (SELECT c.catalog_version_no FROM pg_catalog.pg_control_system() AS c) || '/' || d.oid || '/' END AS directory
    FROM pg_catalog.pg_tablespace AS t
    CROSS JOIN pg_catalog.pg_database AS d
    WHERE d.datname = pg_catalog.current_database() AND t.oid <> 1664
) AS s
CROSS JOIN LATERAL pg_catalog.pg_ls_dir(s.directory, true, false) AS f (name)
