package models

import "context"

// RowsOf is how many rows of each table belong to an instance, those of its databases included.
func (s *Store) RowsOf(ctx context.Context, instanceID int64) (map[string]int64, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	const ofDatabases = "database_id IN (SELECT id FROM instance_databases WHERE instance_id = ?)"
	rows := map[string]int64{}
	for table, condition := range map[string]string{
		"instances": "id = ?", "instance_tags": "instance_id = ?", "instance_databases": "instance_id = ?",
		"instance_size_stats": "instance_id = ?", "collection_runs": "instance_id = ?", "database_size_stats": ofDatabases, "database_table_size_stats": ofDatabases,
	} {
		var n int64
		if err := db.Table(table).Where(condition, instanceID).Count(&n).Error; err != nil {
			return nil, err
		}
		rows[table] = n
	}
	return rows, nil
}

// Orphans are the foreign keys of a SQLite store that point nowhere.
func (s *Store) Orphans(ctx context.Context) (n int64, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Raw("SELECT count(*) FROM pragma_foreign_key_check").Scan(&n).Error
	return n, err
}
