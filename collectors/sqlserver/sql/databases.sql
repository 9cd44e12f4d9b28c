-- Every database visible to the account, and whether it may enter it.
-- Needs: VIEW ANY DATABASE, which every login has unless it was revoked; without it only master, tempdb and the current
-- one.
-- Columns: id, name, id of the database a snapshot was taken of, state, user access, in an availability group, may be
-- entered.
SELECT d.database_id AS database_id, d.name AS name, d.source_database_id AS source_database_id,
    d.state AS state, d.user_access AS user_access,
    CASE WHEN d.replica_id IS NULL THEN 0 ELSE 1 END AS in_group,
    HAS_DBACCESS(d.name) AS accessible
FROM sys.databases AS d
