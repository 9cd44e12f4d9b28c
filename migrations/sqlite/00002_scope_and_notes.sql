-- +goose Up
ALTER TABLE instance_databases ADD COLUMN scope text NOT NULL DEFAULT '';
ALTER TABLE instance_databases ADD COLUMN residual_bytes bigint;

ALTER TABLE database_table_size_stats ADD COLUMN memory_bytes bigint;
ALTER TABLE database_table_size_stats ADD COLUMN rows_at timestamp;
ALTER TABLE database_table_size_stats ADD COLUMN note text NOT NULL DEFAULT '';
ALTER TABLE database_table_size_stats ADD COLUMN related_schema text NOT NULL DEFAULT '';
ALTER TABLE database_table_size_stats ADD COLUMN related_name text NOT NULL DEFAULT '';
