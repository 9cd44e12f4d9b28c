-- Since: 18.1.
SELECT product, version_full FROM product_component_version
