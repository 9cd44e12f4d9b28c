-- +goose Up
CREATE TABLE instance_schedules (
    instance_id    bigint PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
    enabled        boolean NOT NULL DEFAULT true,
    cron           text NOT NULL DEFAULT '',
    zone           text NOT NULL DEFAULT '',
    jitter_minutes bigint,
    blackout       text NOT NULL DEFAULT '',
    next_at        timestamp,
    planned_at     timestamp,
    basis          text NOT NULL DEFAULT '',
    round_at       timestamp,
    retry          boolean NOT NULL DEFAULT false,
    retries        bigint NOT NULL DEFAULT 0,
    last_at        timestamp,
    last_status    text NOT NULL DEFAULT '',
    last_run_id    bigint,
    failures       bigint NOT NULL DEFAULT 0,
    paused_at      timestamp
);
CREATE INDEX instance_schedules_next ON instance_schedules (next_at) WHERE enabled AND paused_at IS NULL;
CREATE INDEX collection_runs_interrupted ON collection_runs (instance_id, requested_at) WHERE status = 'interrupted' AND username = '';
INSERT INTO instance_schedules (instance_id) SELECT id FROM instances;
