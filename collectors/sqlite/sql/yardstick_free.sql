-- Pages that nothing uses.
-- Needs: a file that can be read, attached as target.
-- Columns: pages.
PRAGMA target.freelist_count
