-- The oldest transaction that has not ended: whatever changes from now on, this one or a later one does it.
-- Needs: nothing.
-- Columns: its number as the rows of the catalogue carry it.
SELECT (pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot()) % 4294967296)::pg_catalog.text
