-- What the server itself says one table or indexed view takes.
-- Needs: any right on the object; one that is not visible, or not there, is error 15009.
-- Columns: name, rows, and as text in KB: reserved, data, indexes, unused. Those of a memory-optimised table are NULL.
EXEC sys.sp_spaceused @objname = @p1
