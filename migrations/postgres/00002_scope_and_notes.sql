-- +goose Up
ALTER TABLE instance_databases
    ADD COLUMN scope text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN residual_bytes bigint;

ALTER TABLE database_table_size_stats
    ADD COLUMN memory_bytes bigint,
    ADD COLUMN rows_at timestamptz,
    ADD COLUMN note text NOT NULL DEFAULT '',
    ADD COLUMN related_schema text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN related_name text COLLATE "C" NOT NULL DEFAULT '';
