-- +goose Up
CREATE TABLE collection_runs (
    id                   integer PRIMARY KEY AUTOINCREMENT,
    instance_id          bigint NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    database_id          bigint REFERENCES instance_databases (id) ON DELETE CASCADE,
    database_name        text NOT NULL,
    kind                 text NOT NULL,
    user_id              bigint,
    username             text NOT NULL,
    status               text NOT NULL,
    phase                text NOT NULL,
    tables_seen          bigint,
    requested_at         timestamp NOT NULL,
    started_at           timestamp,
    ended_at             timestamp,
    connecting_ms        bigint,
    querying_ms          bigint,
    storing_ms           bigint,
    receipt_collected_at timestamp,
    receipt_saved        bigint,
    receipt_changed      bigint,
    receipt_pruned       bigint,
    receipt_kept         bigint,
    receipt_duplicates   bigint,
    receipt_hidden       bigint,
    receipt_complete     boolean,
    receipt_grant        text,
    receipt_elapsed_ms   bigint,
    error                text,
    owner                text NOT NULL,
    alive_at             timestamp NOT NULL,
    cancel_asked_at      timestamp
);
CREATE INDEX collection_runs_instance ON collection_runs (instance_id, id);
CREATE INDEX collection_runs_database ON collection_runs (database_id, id);
CREATE INDEX collection_runs_open ON collection_runs (id) WHERE ended_at IS NULL;
