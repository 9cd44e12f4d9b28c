-- Pages of every allocation unit, for accounts that may not read the statistics of partitions.
-- Needs: nothing.
-- Columns: type, id of the partition or of its B-tree, pages of data (leaf), pages in use, pages reserved.
SELECT a.type AS type, a.container_id AS container_id,
    a.data_pages AS data_pages, a.used_pages AS used_pages, a.total_pages AS total_pages
FROM sys.allocation_units AS a
