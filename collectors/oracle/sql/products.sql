-- The products of the server and their versions.
-- Needs: nothing.
-- Columns: product, version.
SELECT product, version FROM product_component_version
