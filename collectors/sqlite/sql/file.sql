-- The library, and the bytes of the database as the last commit left it.
-- Needs: a file that can be read, attached as target.
-- Columns: version of the library, bytes.
SELECT sqlite_version(), c.page_count * s.page_size
FROM main.pragma_page_count('target') AS c, main.pragma_page_size('target') AS s
