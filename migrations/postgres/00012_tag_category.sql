-- +goose Up
ALTER TABLE tags ADD COLUMN category text NOT NULL DEFAULT '';
