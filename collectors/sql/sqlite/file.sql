-- The library, and the bytes of the database as the last commit left it.
-- Needs: a file that can be read.
-- Columns: version of the library, bytes.
SELECT sqlite_version(), c.page_count * s.page_size
FROM pragma_page_count AS c, pragma_page_size AS s
