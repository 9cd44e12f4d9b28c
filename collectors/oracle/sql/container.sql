-- The container that the session is connected to.
-- Since: 12.1.
-- Needs: nothing.
-- Columns: name.
SELECT SYS_CONTEXT('USERENV', 'CON_NAME') FROM dual
