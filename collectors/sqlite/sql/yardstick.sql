-- The file's own account of its pages: how many there are, how large, and what the library keeps for itself.
-- Needs: a file that can be read, attached as target, and a library with dbstat.
-- Columns: pages, bytes of a page, keeps pointer maps, pages of the library's own tables (dbstat counts them as pageno).
SELECT c.page_count, s.page_size, a.auto_vacuum <> 0, (
    SELECT coalesce(sum(d.pageno), 0)
    FROM (
        SELECT 'sqlite_schema' AS name
        UNION ALL
        SELECT t.name FROM target.sqlite_schema AS t WHERE t.type = 'table' AND t.name LIKE 'sqlite^_%' ESCAPE '^'
    ) AS own
    JOIN main.dbstat AS d ON d.name = own.name AND d.schema = 'target' AND d.aggregate = TRUE
)
FROM main.pragma_page_count('target') AS c, main.pragma_page_size('target') AS s, main.pragma_auto_vacuum('target') AS a
