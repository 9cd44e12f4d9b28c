SELECT product, version FROM product_component_version
