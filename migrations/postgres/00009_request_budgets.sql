-- +goose Up
-- How much of their requests a minute clients have used, which all replicas learn from each other within a second. Lost in a
-- crash, it is whole again within a minute.
CREATE UNLOGGED TABLE request_budgets (
    client text COLLATE "C" PRIMARY KEY,
    whole_at timestamptz NOT NULL -- when nothing is used any more
);
