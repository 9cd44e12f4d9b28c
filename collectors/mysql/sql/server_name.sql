-- What tells a server from others that the same address may lead to. Not every server has each of them.
-- Needs: nothing.
-- Columns: name, value.
SHOW GLOBAL VARIABLES WHERE variable_name IN ('hostname', 'port', 'server_id', 'server_uuid', 'server_uid')
