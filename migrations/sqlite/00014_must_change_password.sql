-- +goose Up
-- Passwords that somebody else knows are changed at the next login.
ALTER TABLE users ADD COLUMN must_change_password boolean NOT NULL DEFAULT false;
