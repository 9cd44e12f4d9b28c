-- Sizes of one table or indexed view by the procedure of the server itself.
-- Needs: any right on the object; error 15009 if it is not visible or does not exist.
-- Columns: name, rows, and as text in KB: reserved, data, indexes, unused. Those of a memory-optimised table are NULL.
EXEC sys.sp_spaceused @objname = @p1
