-- +goose Up
ALTER TABLE collection_runs RENAME COLUMN alive_at TO heartbeat_at;
ALTER TABLE collection_runs RENAME COLUMN cancel_asked_at TO cancel_requested_at;
