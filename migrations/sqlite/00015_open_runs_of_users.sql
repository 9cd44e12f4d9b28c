-- +goose Up
-- The open runs that a user requested are counted at each request; most open runs are of schedules.
CREATE INDEX collection_runs_requested ON collection_runs (username) WHERE ended_at IS NULL AND username <> '';
