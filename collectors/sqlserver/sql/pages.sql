-- Pages and rows of every partition of every heap and index.
-- Needs: VIEW DATABASE STATE, since 2022 VIEW DATABASE PERFORMANCE STATE; without it error 262, 297 or 300.
-- Columns: object, index, pages of rows (leaf), of LOB, of row overflow, pages in use, pages reserved, rows.
SELECT s.object_id AS object_id, s.index_id AS index_id,
    s.in_row_data_page_count AS leaf_pages, s.lob_used_page_count AS lob_pages,
    s.row_overflow_used_page_count AS overflow_pages,
    s.used_page_count AS used_pages, s.reserved_page_count AS reserved_pages, s.row_count AS row_count
FROM sys.dm_db_partition_stats AS s
