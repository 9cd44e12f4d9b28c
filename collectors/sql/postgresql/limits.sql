-- Limits for the current transaction only, for servers behind a pooler that refuses start-up parameters.
-- Parameters this version does not have are left out.
-- Needs: nothing.
-- Columns: the values in force.
SELECT set_config(s.name, wanted.value, true)
FROM unnest($1::text[], $2::text[]) AS wanted (name, value)
JOIN pg_catalog.pg_settings AS s ON s.name = wanted.name
