-- Attaches a file as target. The main schema stays empty, so that nothing in the file can take the name of what we ask.
-- Needs: a file that can be read.
-- Columns: none.
ATTACH DATABASE $1 AS target
