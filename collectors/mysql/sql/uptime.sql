-- How long the server has been running.
-- Needs: nothing.
-- Columns: name, seconds.
SHOW GLOBAL STATUS LIKE 'Uptime'
