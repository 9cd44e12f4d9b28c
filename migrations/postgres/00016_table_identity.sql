-- +goose Up
-- Tables that complete snapshots no longer have, under the id that they had in database_table_size_stats. One that
-- returns gets its id back, and with it its history.
CREATE TABLE dropped_tables (
    id            bigint PRIMARY KEY,
    database_id   bigint NOT NULL REFERENCES instance_databases ON DELETE CASCADE,
    schema_name   text COLLATE "C" NOT NULL,
    table_name    text COLLATE "C" NOT NULL,
    kind          text NOT NULL,
    parent_schema text COLLATE "C" NOT NULL,
    parent_name   text COLLATE "C" NOT NULL,
    rolled_up     boolean NOT NULL,
    day           integer NOT NULL,
    size_bytes    bigint,
    UNIQUE (database_id, schema_name, table_name)
);

-- What is different at the end of a day from the end of the day before: a table is new or dropped. The event is empty
-- if it was both.
CREATE TABLE table_events (
    database_id bigint NOT NULL REFERENCES instance_databases ON DELETE CASCADE,
    day         integer NOT NULL,
    table_id    bigint NOT NULL,
    event       text NOT NULL,
    size_bytes  bigint,
    PRIMARY KEY (database_id, day, table_id)
);

-- What the newest snapshot of each day summed up to. The total is unknown for the days before this migration.
CREATE TABLE snapshot_days (
    database_id bigint NOT NULL REFERENCES instance_databases ON DELETE CASCADE,
    day         integer NOT NULL,
    total_bytes bigint,
    table_count bigint,
    PRIMARY KEY (database_id, day)
);
INSERT INTO snapshot_days (database_id, day) SELECT DISTINCT database_id, day FROM table_size_history;

-- A size is now unknown where the table was dropped or could no longer be measured. Narrower columns make room for the
-- bytes of the indexes and the number of rows.
ALTER TABLE table_size_history
    ALTER COLUMN database_id TYPE integer,
    ALTER COLUMN size_bytes DROP NOT NULL,
    ADD COLUMN index_bytes bigint,
    ADD COLUMN row_count bigint;

ALTER TABLE database_table_size_stats RENAME COLUMN base_bytes TO month_bytes;
ALTER TABLE database_table_size_stats RENAME COLUMN base_day TO month_day;
ALTER TABLE database_table_size_stats ADD COLUMN week_bytes bigint, ADD COLUMN week_day integer;
UPDATE database_table_size_stats SET week_bytes = month_bytes, week_day = month_day;
UPDATE database_table_size_stats AS t SET week_bytes = h.size_bytes, week_day = h.day
    FROM table_size_history AS h JOIN (
        SELECT n.table_id, max(n.day) AS day FROM table_size_history n JOIN instance_databases d ON d.id = n.database_id
        WHERE n.day > d.growth_day AND n.day <= d.growth_day + 23 GROUP BY n.table_id
    ) AS newest ON newest.table_id = h.table_id AND newest.day = h.day
    WHERE t.id = h.table_id AND t.database_id = h.database_id;

-- Databases that appeared on an instance whose databases were all known: their tables are new, too.
ALTER TABLE instance_databases ADD COLUMN appeared boolean NOT NULL DEFAULT false;
