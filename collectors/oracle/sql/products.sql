-- What the server is.
-- Needs: nothing.
-- Columns: product, version.
SELECT product, version FROM product_component_version
