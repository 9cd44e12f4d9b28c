-- +goose Up
CREATE TABLE settings (
    name  text PRIMARY KEY,
    value blob NOT NULL
);

CREATE TABLE users (
    id            integer PRIMARY KEY AUTOINCREMENT,
    username      text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    role          text NOT NULL,
    is_active     boolean NOT NULL,
    created_at    timestamp NOT NULL,
    updated_at    timestamp NOT NULL,
    last_login_at timestamp
);

CREATE TABLE sessions (
    id         text PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamp NOT NULL,
    seen_at    timestamp NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE login_failures (
    id  integer PRIMARY KEY AUTOINCREMENT,
    key text NOT NULL,
    at  timestamp NOT NULL
);
CREATE INDEX login_failures_key ON login_failures (key, at);
CREATE INDEX login_failures_at ON login_failures (at);

CREATE TABLE credentials (
    id              integer PRIMARY KEY AUTOINCREMENT,
    name            text NOT NULL UNIQUE,
    credential_type text NOT NULL,
    db_type         text NOT NULL,
    username        text NOT NULL,
    secret          blob NOT NULL,
    description     text NOT NULL,
    created_at      timestamp NOT NULL,
    updated_at      timestamp NOT NULL
);

CREATE TABLE instances (
    id               integer PRIMARY KEY AUTOINCREMENT,
    name             text NOT NULL,
    name_fold        text NOT NULL DEFAULT '',
    db_type          text NOT NULL,
    host             text,
    host_fold        text NOT NULL DEFAULT '',
    port             integer,
    database_name    text NOT NULL,
    credential_id    bigint REFERENCES credentials (id),
    description      text NOT NULL,
    description_fold text NOT NULL DEFAULT '',
    is_active        boolean NOT NULL,
    tls_mode         text NOT NULL,
    options          text NOT NULL,
    database_version text NOT NULL,
    main_version     text NOT NULL,
    detailed_version text NOT NULL,
    last_connected   timestamp,
    last_sync_time   timestamp,
    databases_complete boolean,
    databases_grant  text NOT NULL,
    deleted_at       timestamp,
    created_at       timestamp NOT NULL,
    updated_at       timestamp NOT NULL
);
CREATE UNIQUE INDEX instances_name ON instances (name) WHERE deleted_at IS NULL;
CREATE INDEX instances_credential ON instances (credential_id);

CREATE TABLE tags (
    id           integer PRIMARY KEY AUTOINCREMENT,
    name         text NOT NULL UNIQUE,
    display_name text NOT NULL,
    color        text NOT NULL
);

CREATE TABLE instance_tags (
    instance_id bigint NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    tag_id      bigint NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
    PRIMARY KEY (instance_id, tag_id)
);
CREATE INDEX instance_tags_tag ON instance_tags (tag_id);

CREATE TABLE instance_databases (
    id            integer PRIMARY KEY AUTOINCREMENT,
    instance_id   bigint NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    name          text NOT NULL,
    name_fold     text NOT NULL,
    is_system     boolean NOT NULL,
    first_seen_at timestamp NOT NULL,
    last_seen_at  timestamp NOT NULL,
    gone_at       timestamp,
    last_error    text,
    snapshot_no   bigint NOT NULL DEFAULT 0,
    collected_at  timestamp,
    table_count   bigint NOT NULL DEFAULT 0,
    top_count     bigint NOT NULL DEFAULT 0,
    total_bytes   bigint NOT NULL DEFAULT 0,
    unknown_count bigint NOT NULL DEFAULT 0,
    kept_count    bigint NOT NULL DEFAULT 0,
    hidden_count  bigint NOT NULL DEFAULT 0,
    complete      boolean NOT NULL DEFAULT 0,
    missing_grant text NOT NULL DEFAULT '',
    elapsed_ms    bigint NOT NULL DEFAULT 0,
    UNIQUE (instance_id, name)
);

CREATE TABLE database_size_stats (
    id           integer PRIMARY KEY AUTOINCREMENT,
    database_id  bigint NOT NULL REFERENCES instance_databases (id) ON DELETE CASCADE,
    day          text NOT NULL,
    size_bytes   bigint,
    data_bytes   bigint,
    log_bytes    bigint,
    collected_at timestamp NOT NULL,
    UNIQUE (database_id, day)
);

CREATE TABLE instance_size_stats (
    id             integer PRIMARY KEY AUTOINCREMENT,
    instance_id    bigint NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    day            text NOT NULL,
    size_bytes     bigint NOT NULL,
    database_count bigint NOT NULL,
    collected_at   timestamp NOT NULL,
    UNIQUE (instance_id, day)
);

CREATE TABLE database_table_size_stats (
    id            integer PRIMARY KEY AUTOINCREMENT,
    database_id   bigint NOT NULL REFERENCES instance_databases (id) ON DELETE CASCADE,
    schema_name   text NOT NULL,
    table_name    text NOT NULL,
    schema_fold   text NOT NULL,
    table_fold    text NOT NULL,
    kind          text NOT NULL,
    parent_schema text NOT NULL,
    parent_name   text NOT NULL,
    rolled_up     boolean NOT NULL,
    size_bytes    bigint,
    data_bytes    bigint,
    index_bytes   bigint,
    unused_bytes  bigint,
    row_count     bigint,
    rows_source   text NOT NULL,
    size_source   text NOT NULL,
    stats_stale   boolean NOT NULL,
    unread        text NOT NULL,
    kept_from     timestamp,
    UNIQUE (database_id, schema_name, table_name)
);
CREATE INDEX database_table_size_stats_size
    ON database_table_size_stats (database_id, size_bytes DESC, schema_name, table_name, schema_fold, table_fold);
CREATE INDEX database_table_size_stats_parent
    ON database_table_size_stats (database_id, parent_schema, parent_name) WHERE parent_name <> '';
