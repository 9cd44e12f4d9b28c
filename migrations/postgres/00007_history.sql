-- +goose Up
ALTER TABLE instance_databases ADD COLUMN growth_day bigint;

-- base_bytes is what growth is counted from, known since base_day; days are counted from 1970-01-01.
ALTER TABLE database_table_size_stats
    ADD COLUMN fingerprint bigint,
    ADD COLUMN base_bytes bigint,
    ADD COLUMN base_day integer;

-- Sizes that have changed: what a table had at the end of a day, and by how much that was more than before (unknown for the
-- first). The day stands before the table so that a save appends, and old days lie together.
CREATE TABLE table_size_history (
    database_id bigint NOT NULL REFERENCES instance_databases ON DELETE CASCADE,
    table_id    bigint NOT NULL,
    size_bytes  bigint NOT NULL,
    delta_bytes bigint,
    day         integer NOT NULL,
    PRIMARY KEY (database_id, day, table_id)
);

-- Without these extensions a search for a part of a name reads all names of its database. docs/operations.md says how to
-- add them later.
-- +goose StatementBegin
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS btree_gin;
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX database_table_size_stats_search ON database_table_size_stats USING gin (database_id, table_fold gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file OR undefined_object THEN
    RAISE NOTICE 'no trigram index: %', SQLERRM;
END $$;
-- +goose StatementEnd
