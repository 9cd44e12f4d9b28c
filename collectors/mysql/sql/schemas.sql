-- The schemas that the account can see.
-- Needs: nothing, but without SHOW DATABASES or a privilege ON *.* some are missing, without an error.
-- Columns: name.
SELECT schema_name
FROM information_schema.schemata
