package models

import (
	"context"

	"gorm.io/gorm"
)

// InstanceStatistics counts instances. Those in the recycle bin count only in Deleted.
type InstanceStatistics struct {
	Total, Active, Disabled, Deleted int64
	DatabaseCount                    int64  // without databases that are gone
	SizeBytes                        *int64 // Σ of the newest totals; nil: none measured yet

	// Most frequent first.
	Engines  []EngineCount  `gorm:"-"`
	Ports    []PortCount    `gorm:"-"` // at most topPorts
	Versions []VersionCount `gorm:"-"`
}

// topPorts is how many ports the statistics list.
const topPorts = 10

// PortCount is the number of instances with a port; nil: SQLite files.
type PortCount struct {
	Port  *int
	Count int64
}

// VersionCount is the number of instances of an engine with a main version; empty: never connected to.
type VersionCount struct {
	DBType  Engine `gorm:"column:db_type"`
	Version string
	Count   int64
}

// EngineCount is the number of instances of an engine.
type EngineCount struct {
	DBType Engine `gorm:"column:db_type"`
	Count  int64
}

const instanceStatisticsSQL = `SELECT
	count(*) FILTER (WHERE deleted_at IS NULL) AS total,
	count(*) FILTER (WHERE deleted_at IS NULL AND is_active) AS active,
	count(*) FILTER (WHERE deleted_at IS NULL AND NOT is_active) AS disabled,
	count(*) FILTER (WHERE deleted_at IS NOT NULL) AS deleted,
	(SELECT count(*) FROM instance_databases d JOIN instances i ON i.id = d.instance_id
		WHERE d.gone_at IS NULL AND i.deleted_at IS NULL) AS database_count,
	(SELECT CAST(sum(m.size_bytes) AS bigint) FROM instance_size_stats m JOIN instances i ON i.id = m.instance_id
		WHERE i.deleted_at IS NULL
			AND m.day = (SELECT max(day) FROM instance_size_stats n WHERE n.instance_id = m.instance_id)) AS size_bytes
	FROM instances`

// InstanceStatistics returns the statistics of all instances.
func (s *Store) InstanceStatistics(ctx context.Context) (InstanceStatistics, error) {
	var out InstanceStatistics
	err := s.view(ctx, func(tx *gorm.DB) error {
		if err := tx.Raw(instanceStatisticsSQL).Scan(&out).Error; err != nil {
			return err
		}
		return countInstances(tx, &out)
	})
	return out, err
}

func countInstances(tx *gorm.DB, out *InstanceStatistics) error {
	present := func() *gorm.DB { return tx.Table("instances").Where("deleted_at IS NULL") }
	err := present().Select("db_type, count(*) AS count").Group("db_type").Order("count DESC, db_type").
		Scan(&out.Engines).Error
	if err != nil {
		return err
	}

	err = present().Select("port, count(*) AS count").Group("port").Order("count DESC, port NULLS LAST").
		Limit(topPorts).Scan(&out.Ports).Error
	if err != nil {
		return err
	}
	return present().Select("db_type, main_version AS version, count(*) AS count").Group("db_type, main_version").
		Order("count DESC, db_type, version").Scan(&out.Versions).Error
}

// Size returns the size of the store's own database in bytes.
func (s *Store) Size(ctx context.Context) (bytes int64, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Raw(s.dialect.size()).Scan(&bytes).Error
	return bytes, err
}
