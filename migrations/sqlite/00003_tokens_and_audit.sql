-- +goose Up
CREATE TABLE api_tokens (
    id           integer PRIMARY KEY AUTOINCREMENT,
    user_id      bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         text NOT NULL,
    digest       text NOT NULL UNIQUE,
    role         text NOT NULL,
    expires_at   timestamp NOT NULL,
    created_at   timestamp NOT NULL,
    last_used_at timestamp,
    UNIQUE (user_id, name)
);

CREATE TABLE audit_log (
    id           integer PRIMARY KEY AUTOINCREMENT,
    at           timestamp NOT NULL,
    user_id      bigint,
    username     text NOT NULL,
    token_name   text NOT NULL,
    action       text NOT NULL,
    target_id    bigint,
    target_name  text NOT NULL,
    target_fold  text NOT NULL,
    method       text NOT NULL,
    path         text NOT NULL,
    ip           text NOT NULL,
    status       integer NOT NULL,
    message_code text NOT NULL,
    request_id   text NOT NULL
);
CREATE INDEX audit_log_username ON audit_log (username, id);
CREATE INDEX audit_log_action ON audit_log (action, id);
CREATE INDEX audit_log_at ON audit_log (at);
