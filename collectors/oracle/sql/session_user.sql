-- The user of the session, whatever its current schema is.
-- Needs: nothing.
-- Columns: user.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER') FROM dual
