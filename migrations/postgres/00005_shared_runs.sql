-- +goose Up
ALTER TABLE collection_runs ADD COLUMN tables_total bigint;
ALTER TABLE collection_runs ADD COLUMN configuration text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE collection_runs ADD COLUMN attempt integer NOT NULL DEFAULT 1;
ALTER TABLE collection_runs ADD COLUMN result text;
ALTER TABLE collection_runs ADD COLUMN receipt_locked bigint;
ALTER TABLE collection_runs ADD COLUMN receipt_failed bigint;
ALTER TABLE collection_runs ADD COLUMN receipt_proof text;
ALTER TABLE collection_runs ADD COLUMN receipt_server_bytes bigint;
