-- Every LOB column.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_lobs; without it ORA-00942 (01031, 41900).
-- Columns: owner and name of the table, LOB segment, index of the LOB segment.
SELECT owner, table_name, segment_name, index_name FROM dba_lobs
