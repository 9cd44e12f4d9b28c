-- Settings that not every server has; one without InnoDB has no page size.
-- Needs: nothing.
-- Columns: name, value.
SHOW VARIABLES WHERE variable_name IN ('innodb_page_size', 'partial_revokes')
