-- What the server is and who we are on it.
-- Needs: nothing.
-- Columns: version text, connection id, account as user@host.
SELECT VERSION(), CONNECTION_ID(), CURRENT_USER()
