-- The storage of domain indexes.
-- Needs: SELECT_CATALOG_ROLE, or READ on sys.dba_secondary_objects; without it ORA-00942 (01031, 41900).
-- Columns: owner and name of the object, owner and name of the index.
SELECT secondary_object_owner, secondary_object_name, index_owner, index_name FROM dba_secondary_objects
