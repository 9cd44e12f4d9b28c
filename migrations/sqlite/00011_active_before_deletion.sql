-- +goose Up
ALTER TABLE instances ADD COLUMN active_before_deletion boolean NOT NULL DEFAULT false;
