-- Who we are, whatever the current schema is.
-- Needs: nothing.
-- Columns: user.
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER') FROM dual
