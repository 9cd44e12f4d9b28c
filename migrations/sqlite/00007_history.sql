-- +goose Up
ALTER TABLE instance_databases ADD COLUMN growth_day bigint;

-- base_bytes is what growth is counted from, known since base_day; days are counted from 1970-01-01.
ALTER TABLE database_table_size_stats ADD COLUMN fingerprint bigint;
ALTER TABLE database_table_size_stats ADD COLUMN base_bytes bigint;
ALTER TABLE database_table_size_stats ADD COLUMN base_day bigint;

-- Sizes that have changed: what a table had at the end of a day, and by how much that was more than before (unknown for the
-- first). The day stands before the table so that a save appends, and old days lie together.
CREATE TABLE table_size_history (
    database_id bigint NOT NULL REFERENCES instance_databases (id) ON DELETE CASCADE,
    day         bigint NOT NULL,
    table_id    bigint NOT NULL,
    size_bytes  bigint NOT NULL,
    delta_bytes bigint,
    PRIMARY KEY (database_id, day, table_id)
) WITHOUT ROWID;
