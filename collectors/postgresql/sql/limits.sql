-- Limits for the current transaction only, for servers behind a pooler that refuses start-up parameters.
-- It runs before the search path is ours, so everything it names says where it is from.
-- Parameters this version does not have are left out.
-- Needs: nothing.
-- Columns: the values in force.
SELECT pg_catalog.set_config(s.name, wanted.value, true)
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS wanted (name, value)
JOIN pg_catalog.pg_settings AS s ON s.name OPERATOR(pg_catalog.=) wanted.name
