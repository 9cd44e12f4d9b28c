-- The storage of the account's own domain indexes.
-- Needs: nothing.
-- Columns: owner and name of the object, owner and name of the index.
SELECT secondary_object_owner, secondary_object_name, index_owner, index_name FROM user_secondary_objects
