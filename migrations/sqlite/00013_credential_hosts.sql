-- +goose Up
-- Empty: may be sent to any host.
ALTER TABLE credentials ADD COLUMN hosts text NOT NULL DEFAULT '[]';
