-- The internal tables in which the engine stores special indexes, queues and the like.
-- Needs: VIEW DEFINITION or a right on the object they belong to; others are missing, without an error.
-- Columns: id, id of the object it belongs to (0 for none), type.
SELECT i.object_id AS object_id, i.parent_id AS parent_id, i.internal_type AS internal_type
FROM sys.internal_tables AS i
