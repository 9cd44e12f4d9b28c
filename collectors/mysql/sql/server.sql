-- The version of the server, our connection and our account.
-- Needs: nothing.
-- Columns: version text, connection id, account as user@host.
SELECT VERSION(), CONNECTION_ID(), CURRENT_USER()
