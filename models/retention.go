package models

import "context"

// DefaultHistoryDays is how long the history of table sizes is kept, MinHistoryDays how long it must be.
const (
	DefaultHistoryDays = 400
	MinHistoryDays     = tableGrowthDays + 1
)

// historyStep is how many rows PruneHistory deletes at a time.
const historyStep = 5000

// PruneHistory deletes the sizes of tables that are older than the store keeps them, those of tables that are gone, too, in
// steps between which others can write. Those over which the base of growth has yet to move stay, however old: the next save
// moves it. It returns how many rows went.
func (s *Store) PruneHistory(ctx context.Context) (pruned int64, err error) {
	var databases []InstanceDatabase
	db, done := bounded(ctx, s.reader)
	defer done()
	if err := db.Select("id", "growth_day").Where("growth_day IS NOT NULL").Order("id").Find(&databases).Error; err != nil {
		return 0, err
	}
	first := s.dayNumber(s.now()) + 1 - int64(s.historyDays)
	for _, database := range databases {
		for more := true; more; {
			deleted, err := s.pruneStep(ctx, database.ID, min(first, *database.GrowthDay+1))
			if err != nil {
				return pruned, err
			}
			pruned, more = pruned+deleted, deleted == historyStep
		}
	}
	return pruned, nil
}

func (s *Store) pruneStep(ctx context.Context, databaseID, first int64) (int64, error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	deleted := db.Exec(`DELETE FROM table_size_history WHERE database_id = ? AND (day, table_id) IN (
		SELECT day, table_id FROM table_size_history WHERE database_id = ? AND day < ? ORDER BY day, table_id LIMIT ?)`,
		databaseID, databaseID, first, historyStep)
	return deleted.RowsAffected, deleted.Error
}
