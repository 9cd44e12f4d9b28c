package models

import (
	"context"
	"slices"

	"gorm.io/gorm"
)

// InstanceQuery selects and orders a page of instances. Zero values mean no filter.
type InstanceQuery struct {
	Search         string // case-insensitive substring of name, host or description, taken literally
	DBType         Engine
	Status         string   // active|inactive|paused (active, its schedule is paused)|deleted (implies IncludeDeleted)
	Tags           []string // names of tags, any of which the instance has
	IncludeDeleted bool
	Sort           string // id|name|db_type|host|status|active_dbs|size|growth|last_sync_time
	Desc           bool
	Limit, Offset  int
}

// InstanceItem is one row of the instance list.
type InstanceItem struct {
	Instance
	ActiveDatabases int64
	SizeBytes       *int64   // newest instance_size_stats row; nil: never measured
	Growth7d        *int64   // bytes since the first measurement of the last 7 days; nil: fewer than two days known
	Planned         Schedule // next collection, or why there is none; only set, and only in part, by Store.Instances
	PausedBy        *Error   // failure that paused the schedule; nil: not paused, or unknown
}

// InstancePage is one page of instances and the number of all that match.
type InstancePage struct {
	Items []InstanceItem
	Total int64
}

// growthDays is how many calendar days, today included, "the last 7 days" are.
const growthDays = 7

// instanceFigures holds the numbers of an instance in the list.
type instanceFigures struct {
	ID              int64
	ActiveDatabases int64
	SizeBytes       *int64
	Growth7d        *int64
}

const instanceFiguresSQL = `i.id,
	(SELECT count(*) FROM instance_databases d WHERE d.instance_id = i.id AND d.gone_at IS NULL) AS active_databases,
	newest.size_bytes AS size_bytes,
	newest.size_bytes - oldest.size_bytes AS growth7d`

const newestInstanceSizeSQL = `LEFT JOIN instance_size_stats newest ON newest.instance_id = i.id
	AND newest.day = (SELECT max(day) FROM instance_size_stats m WHERE m.instance_id = i.id)`

const oldestInstanceSizeSQL = `LEFT JOIN instance_size_stats oldest ON oldest.instance_id = i.id
	AND oldest.day < newest.day
	AND oldest.day = (SELECT min(day) FROM instance_size_stats m WHERE m.instance_id = i.id AND m.day >= ?)`

// instanceOrders maps the sorts of the list to SQL; each may use a column alias of instanceFiguresSQL.
var instanceOrders = map[string]string{
	"id": "i.id", "name": "i.name", "db_type": "i.db_type", "host": "i.host", "last_sync_time": "i.last_sync_time",
	"active_dbs": "active_databases", "size": "size_bytes", "growth": "growth7d", "status": "status_rank",
}

const instanceStatusSQL = `CASE WHEN i.deleted_at IS NOT NULL THEN 2 WHEN i.is_active THEN 0 ELSE 1 END AS status_rank`

// Instances returns a page of the instances that q selects. An unknown sort means by id.
func (s *Store) Instances(ctx context.Context, q InstanceQuery) (InstancePage, error) {
	var page InstancePage
	err := s.view(ctx, func(tx *gorm.DB) error {
		if err := s.filterInstances(tx, q).Count(&page.Total).Error; err != nil {
			return err
		}
		var figures []instanceFigures
		err := s.filterInstances(tx, q).
			Select(instanceFiguresSQL+", "+instanceStatusSQL).
			Joins(newestInstanceSizeSQL).Joins(oldestInstanceSizeSQL, s.day(s.Now(), 1-growthDays)).
			Order(instanceOrder(q)).Limit(q.Limit).Offset(q.Offset).Scan(&figures).Error
		if err != nil {
			return err
		}
		if page.Items, err = instanceItems(tx, figures); err != nil {
			return err
		}
		return s.addSchedules(tx, page.Items)
	})
	return page, err
}

func (s *Store) filterInstances(tx *gorm.DB, q InstanceQuery) *gorm.DB {
	tx = tx.Table("instances AS i")
	switch q.Status {
	case "deleted":
		tx = tx.Where("i.deleted_at IS NOT NULL")
	case "active", "inactive":
		tx = tx.Where("i.deleted_at IS NULL AND i.is_active = ?", q.Status == "active")
	case "paused":
		tx = tx.Where(`i.deleted_at IS NULL AND i.is_active AND i.id IN
			(SELECT instance_id FROM instance_schedules WHERE enabled AND paused_at IS NOT NULL)`)
	default:
		if !q.IncludeDeleted {
			tx = tx.Where("i.deleted_at IS NULL")
		}
	}
	tx = taggedWith(tx, q.Tags)
	return s.search(equal(tx, "i.db_type", string(q.DBType)), q.Search, "i.name_fold", "i.host_fold", "i.description_fold")
}

// taggedWith keeps the instances i that have any of the tags. No names keep all.
func taggedWith(tx *gorm.DB, names []string) *gorm.DB {
	if len(names) == 0 {
		return tx
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !storable(name) })
	return tx.Where(`EXISTS (SELECT 1 FROM instance_tags it JOIN tags t ON t.id = it.tag_id
		WHERE it.instance_id = i.id AND t.name IN ?)`, names)
}

func instanceOrder(q InstanceQuery) string {
	order, known := instanceOrders[q.Sort]
	if !known {
		order = instanceOrders["id"]
	}
	return order + direction(q.Desc) + ", i.id" + direction(q.Desc)
}

// instanceItems loads the instances that figures lists, in the same order.
func instanceItems(tx *gorm.DB, figures []instanceFigures) ([]InstanceItem, error) {
	ids := make([]int64, len(figures))
	for i, f := range figures {
		ids[i] = f.ID
	}
	byID, err := instancesByID(tx, ids)
	if err != nil {
		return nil, err
	}
	items := make([]InstanceItem, len(figures))
	for i, f := range figures {
		items[i] = InstanceItem{
			Instance: byID[f.ID], ActiveDatabases: f.ActiveDatabases, SizeBytes: f.SizeBytes, Growth7d: f.Growth7d,
		}
	}
	return items, nil
}

// instancesByID loads instances with their credentials and tags.
func instancesByID(tx *gorm.DB, ids []int64) (map[int64]Instance, error) {
	var instances []Instance
	if err := withDetails(tx).Find(&instances, "id IN ?", ids).Error; err != nil {
		return nil, err
	}
	byID := make(map[int64]Instance, len(instances))
	for _, instance := range instances {
		byID[instance.ID] = instance
	}
	return byID, nil
}

// addSchedules sets Planned and PausedBy of a page's instances. It reads runs only for paused schedules.
func (s *Store) addSchedules(tx *gorm.DB, items []InstanceItem) error {
	listed := make([]int64, len(items))
	for i := range items {
		listed[i] = items[i].ID
	}
	ids, err := jsonParameter(listed)
	if err != nil {
		return err
	}
	var rows []struct {
		Schedule
		Failure *string
	}
	err = tx.Table("instance_schedules AS s").Where("s.instance_id IN "+s.dialect.ids(), ids).
		Select(`s.instance_id, s.enabled, s.cron, s.zone, s.jitter_minutes, s.blackout, s.next_at, s.basis, s.failures,
			s.last_status, s.paused_at, CASE WHEN s.paused_at IS NOT NULL
				THEN (SELECT r.error FROM collection_runs r WHERE r.id = s.last_run_id) END AS failure`).
		Scan(&rows).Error
	if err != nil {
		return err
	}
	known := make(map[int64]int, len(rows))
	for at, row := range rows {
		known[row.InstanceID] = at
	}
	for i := range items {
		at, stored := known[items[i].ID]
		var schedule Schedule
		if stored {
			schedule = rows[at].Schedule
			last := Run{StoredFailure: rows[at].Failure}
			if err := last.readFailure(); err != nil {
				return err
			}
			items[i].PausedBy = schedule.PauseReason(last.Failure)
		}
		if items[i].Planned, err = s.scheduleNow(items[i].Instance, schedule, stored); err != nil {
			items[i].Planned.NextAt = nil // an invalid schedule has no next time
		}
	}
	return nil
}

// InstanceNames returns id, name, address and engine of the instances that q selects, sorted by name. It ignores q's
// sort, limit and offset.
func (s *Store) InstanceNames(ctx context.Context, q InstanceQuery) ([]Instance, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var found []Instance
	err := s.filterInstances(db, q).Select("i.id, i.name, i.host, i.port, i.db_type").Order("i.name, i.id").
		Scan(&found).Error
	return found, err
}

// InstancesAfter returns up to limit instances that q selects with ids above id, sorted by id. It ignores q's sort,
// limit and offset.
func (s *Store) InstancesAfter(ctx context.Context, q InstanceQuery, id int64, limit int) ([]InstanceItem, error) {
	var items []InstanceItem
	err := s.view(ctx, func(tx *gorm.DB) error {
		var figures []instanceFigures
		err := s.filterInstances(tx, q).Where("i.id > ?", id).
			Select(instanceFiguresSQL).
			Joins(newestInstanceSizeSQL).Joins(oldestInstanceSizeSQL, s.day(s.Now(), 1-growthDays)).
			Order("i.id").Limit(limit).Scan(&figures).Error
		if err != nil {
			return err
		}
		items, err = instanceItems(tx, figures)
		return err
	})
	return items, err
}
