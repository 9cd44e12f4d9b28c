-- +goose Up
ALTER TABLE collection_runs ADD COLUMN tables_total bigint;
ALTER TABLE collection_runs ADD COLUMN configuration text NOT NULL DEFAULT '';
ALTER TABLE collection_runs ADD COLUMN attempt integer NOT NULL DEFAULT 1;
ALTER TABLE collection_runs ADD COLUMN result text;
ALTER TABLE collection_runs ADD COLUMN receipt_locked bigint;
ALTER TABLE collection_runs ADD COLUMN receipt_failed bigint;
ALTER TABLE collection_runs ADD COLUMN receipt_proof text;
ALTER TABLE collection_runs ADD COLUMN receipt_server_bytes bigint;
UPDATE collection_runs SET status = 'interrupted', phase = '', ended_at = alive_at WHERE ended_at IS NULL;

-- Few of an instance's runs are about its databases.
CREATE INDEX collection_runs_syncs ON collection_runs (instance_id, id) WHERE kind = 'databases';
-- What is asked for already is joined.
CREATE UNIQUE INDEX collection_runs_asked ON collection_runs (instance_id, kind, database_name, configuration) WHERE ended_at IS NULL;
-- An instance is read by one run at a time, whichever process carries it out.
CREATE UNIQUE INDEX collection_runs_reading ON collection_runs (instance_id) WHERE ended_at IS NULL AND status = 'running';
-- Runs that ended in one way are counted without reading them.
CREATE INDEX collection_runs_outcomes ON collection_runs (status, id, instance_id);
