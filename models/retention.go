package models

import "context"

// Bounds of Options.HistoryDays. The growth of tables needs the history of the last tableGrowthDays.
const (
	DefaultHistoryDays = 400
	MinHistoryDays     = tableGrowthDays + 1
)

// historyBatch is how many rows PruneHistory deletes in one statement: other writers wait no longer than that.
const historyBatch = 5000

// PruneHistory deletes what is older than Options.HistoryDays: the daily sizes and events of tables, the names of those
// dropped before, and the daily sizes of databases and instances. It returns how many rows it deleted. Some rows stay
// however old they are: the newest size of each database and instance, the newest total of each database's tables, and
// the sizes of tables that the next save still needs to compute their growth.
func (s *Store) PruneHistory(ctx context.Context) (pruned int64, err error) {
	tables, err := s.pruneTables(ctx)
	if err != nil {
		return tables, err
	}
	databases, err := s.pruneDays(ctx, oldDatabaseSizes, "database_size_stats")
	if err != nil {
		return tables + databases, err
	}
	instances, err := s.pruneDays(ctx, oldInstanceSizes, "instance_size_stats")
	return tables + databases + instances, err
}

func (s *Store) pruneTables(ctx context.Context) (pruned int64, err error) {
	var databases []InstanceDatabase
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Select("id", "growth_day").Where("growth_day IS NOT NULL").Order("id").Find(&databases).Error
	if err != nil {
		return 0, err
	}

	first := s.dayNumber(s.now()) + 1 - int64(s.historyDays)
	for _, database := range databases {
		deleted, err := s.pruneDatabase(ctx, database.ID, min(first, *database.GrowthDay+1))
		pruned += deleted
		if err != nil {
			return pruned, err
		}
	}
	return pruned, nil
}

// oldTableRows lists conditions for up to so many rows of a database from before a day, by table.
var oldTableRows = []struct{ table, condition string }{
	{"table_size_history", `(day, table_id) IN (SELECT day, table_id FROM table_size_history
		WHERE database_id = ? AND day < ? ORDER BY day, table_id LIMIT ?)`},
	{"table_events", `(day, table_id) IN (SELECT day, table_id FROM table_events
		WHERE database_id = ? AND day < ? ORDER BY day, table_id LIMIT ?)`},
	{"dropped_tables", "id IN (SELECT id FROM dropped_tables WHERE database_id = ? AND day < ? LIMIT ?)"},
	{"snapshot_days", `day IN (SELECT o.day FROM snapshot_days o WHERE o.database_id = ? AND o.day < ?
		AND o.day < (SELECT max(n.day) FROM snapshot_days n WHERE n.database_id = o.database_id) LIMIT ?)`},
}

// pruneDatabase deletes, batch by batch, what is stored of the database's tables from before the day first.
func (s *Store) pruneDatabase(ctx context.Context, databaseID, first int64) (pruned int64, err error) {
	for _, old := range oldTableRows {
		statement := "DELETE FROM " + old.table + " WHERE database_id = ? AND " + old.condition
		for more := true; more; {
			deleted, err := s.pruneBatch(ctx, statement, databaseID, databaseID, first, historyBatch)
			pruned += deleted
			if err != nil {
				return pruned, err
			}
			more = deleted == historyBatch
		}
	}
	return pruned, nil
}

func (s *Store) pruneBatch(ctx context.Context, statement string, values ...any) (int64, error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	deleted := db.Exec(statement, values...)
	return deleted.RowsAffected, deleted.Error
}

// Queries for the ids of rows to prune; parameters are the first day to keep and a limit.
const (
	oldDatabaseSizes = `SELECT m.id FROM instance_databases d
		JOIN database_size_stats m ON m.database_id = d.id AND m.day < ?
		WHERE m.day < (SELECT max(n.day) FROM database_size_stats n WHERE n.database_id = d.id) LIMIT ?`
	oldInstanceSizes = `SELECT m.id FROM instances i
		JOIN instance_size_stats m ON m.instance_id = i.id AND m.day < ?
		WHERE m.day < (SELECT max(n.day) FROM instance_size_stats n WHERE n.instance_id = i.id) LIMIT ?`
)

// pruneDays deletes the rows that the query finds, batch by batch. It looks for them without holding the writer.
func (s *Store) pruneDays(ctx context.Context, query, table string) (pruned int64, err error) {
	first := s.day(s.now(), 1-s.historyDays)
	for {
		ids, err := s.idsToPrune(ctx, query, first)
		if err != nil || len(ids) == 0 {
			return pruned, err
		}
		deleted, err := s.deleteIDs(ctx, table, ids)
		pruned += deleted
		if err != nil || len(ids) < historyBatch {
			return pruned, err
		}
	}
}

func (s *Store) idsToPrune(ctx context.Context, query, first string) (ids []int64, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Raw(query, first, historyBatch).Scan(&ids).Error
	return ids, err
}

func (s *Store) deleteIDs(ctx context.Context, table string, ids []int64) (int64, error) {
	parameter, err := jsonParameter(ids)
	if err != nil {
		return 0, err
	}
	return s.pruneBatch(ctx, "DELETE FROM "+table+" WHERE id IN "+s.dialect.ids(), parameter)
}
