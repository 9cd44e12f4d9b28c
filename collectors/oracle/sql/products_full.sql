-- The products of the server and their versions with the release update.
-- Since: 18.1.
-- Needs: nothing.
-- Columns: product, version.
SELECT product, version_full FROM product_component_version
