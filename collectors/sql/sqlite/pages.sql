-- What each b-tree holds, counted page by page: this reads the whole file.
-- Needs: a file that can be read, and a library with dbstat.
-- Columns: name of the b-tree, bytes with its overflow pages, cells of all pages, cells of leaf pages.
SELECT p.name, sum(p.pgsize), sum(p.ncell), sum(CASE p.pagetype WHEN 'leaf' THEN p.ncell ELSE 0 END)
FROM dbstat AS p
GROUP BY p.name
