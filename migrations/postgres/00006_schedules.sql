-- +goose Up
CREATE TABLE instance_schedules (
    instance_id    bigint PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    enabled        boolean NOT NULL DEFAULT true,
    cron           text COLLATE "C" NOT NULL DEFAULT '',
    zone           text COLLATE "C" NOT NULL DEFAULT '',
    jitter_minutes bigint,
    blackout       text COLLATE "C" NOT NULL DEFAULT '',
    next_at        timestamptz,
    planned_at     timestamptz,
    basis          text COLLATE "C" NOT NULL DEFAULT '',
    round_at       timestamptz,
    retry          boolean NOT NULL DEFAULT false,
    retries        bigint NOT NULL DEFAULT 0,
    last_at        timestamptz,
    last_status    text NOT NULL DEFAULT '',
    last_run_id    bigint,
    failures       bigint NOT NULL DEFAULT 0,
    paused_at      timestamptz
);
CREATE INDEX instance_schedules_next ON instance_schedules (next_at) WHERE enabled AND paused_at IS NULL;
CREATE INDEX collection_runs_interrupted ON collection_runs (instance_id, requested_at) WHERE status = 'interrupted' AND username = '';
INSERT INTO instance_schedules (instance_id) SELECT id FROM instances;
