package models

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// growthDays is how many calendar days, today included, "the last 7 days" are.
const growthDays = 7

// NewCredential is a user name and password typed into the instance form; it is created in the same transaction.
type NewCredential struct{ Username, Password string }

// instanceFigures are an instance's numbers in the list.
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

const oldestInstanceSizeSQL = `LEFT JOIN instance_size_stats oldest ON oldest.instance_id = i.id AND oldest.day < newest.day
	AND oldest.day = (SELECT min(day) FROM instance_size_stats m WHERE m.instance_id = i.id AND m.day >= ?)`

// instanceOrders are the sorts of the list; each may be a column alias of instanceFiguresSQL.
var instanceOrders = map[string]string{
	"id": "i.id", "name": "i.name", "db_type": "i.db_type", "host": "i.host", "last_sync_time": "i.last_sync_time",
	"active_dbs": "active_databases", "size": "size_bytes", "growth": "growth7d", "status": "status_rank",
}

const instanceStatusSQL = `CASE WHEN i.deleted_at IS NOT NULL THEN 2 WHEN i.is_active THEN 0 ELSE 1 END AS status_rank`

// Instances is a page of the instances that q selects. An unknown sort is by id.
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
	if len(q.Tags) > 0 {
		names := slices.DeleteFunc(slices.Clone(q.Tags), func(name string) bool { return !storable(name) })
		tx = tx.Where(`EXISTS (SELECT 1 FROM instance_tags it JOIN tags t ON t.id = it.tag_id
			WHERE it.instance_id = i.id AND t.name IN ?)`, names)
	}
	return s.search(equal(tx, "i.db_type", string(q.DBType)), q.Search, "i.name_fold", "i.host_fold", "i.description_fold")
}

func instanceOrder(q InstanceQuery) string {
	order, known := instanceOrders[q.Sort]
	if !known {
		order = instanceOrders["id"]
	}
	return order + direction(q.Desc) + ", i.id" + direction(q.Desc)
}

// instanceItems loads the instances of the figures, in their order.
func instanceItems(tx *gorm.DB, figures []instanceFigures) ([]InstanceItem, error) {
	ids := make([]int64, len(figures))
	for i, f := range figures {
		ids[i] = f.ID
	}
	var instances []Instance
	if err := withDetails(tx).Find(&instances, "id IN ?", ids).Error; err != nil {
		return nil, err
	}
	byID := make(map[int64]Instance, len(instances))
	for _, instance := range instances {
		byID[instance.ID] = instance
	}
	items := make([]InstanceItem, len(figures))
	for i, f := range figures {
		items[i] = InstanceItem{Instance: byID[f.ID], ActiveDatabases: f.ActiveDatabases, SizeBytes: f.SizeBytes, Growth7d: f.Growth7d}
	}
	return items, nil
}

// addSchedules adds to a page of instances when they are collected. It reads no run but those of the paused.
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
		Select(`s.instance_id, s.enabled, s.cron, s.zone, s.jitter_minutes, s.blackout, s.next_at, s.basis, s.failures, s.paused_at,
			CASE WHEN s.paused_at IS NOT NULL THEN (SELECT r.error FROM collection_runs r WHERE r.id = s.last_run_id) END AS failure`).
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
			items[i].PausedBy = last.Failure
		}
		if items[i].Planned, err = s.scheduleNow(items[i].Instance, schedule, stored); err != nil {
			items[i].Planned.NextAt = nil // a schedule that makes no sense (any more) has none
		}
	}
	return nil
}

func withDetails(tx *gorm.DB) *gorm.DB {
	byName := func(tags *gorm.DB) *gorm.DB { return tags.Order("tags.name") }
	return tx.Preload("Tags", byName).Preload("Credential")
}

// Instance finds an instance that is not deleted, with its credential and tags.
func (s *Store) Instance(ctx context.Context, id int64) (Instance, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeInstance(db, "id = ? AND deleted_at IS NULL", id)
}

// InstanceHead is Instance without its credential and tags.
func (s *Store) InstanceHead(ctx context.Context, id int64) (instance Instance, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Take(&instance, "id = ? AND deleted_at IS NULL", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Instance{}, NotFound("instance.not_found")
	}
	return instance, err
}

// InstanceByName finds an instance that is not deleted, with its credential and tags.
func (s *Store) InstanceByName(ctx context.Context, name string) (Instance, error) {
	if !storable(name) {
		return Instance{}, NotFound("instance.not_found")
	}
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeInstance(db, "name = ? AND deleted_at IS NULL", name)
}

// InstanceIncludingDeleted finds an instance that may be in the recycle bin.
func (s *Store) InstanceIncludingDeleted(ctx context.Context, id int64) (Instance, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeInstance(db, "id = ?", id)
}

func takeInstance(tx *gorm.DB, condition string, value any) (Instance, error) {
	var instance Instance
	err := withDetails(tx).Take(&instance, condition, value).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Instance{}, NotFound("instance.not_found")
	}
	return instance, err
}

// lockInstance is the instance, which nobody else can change until the transaction ends.
func lockInstance(tx *gorm.DB, id int64) (Instance, error) {
	var instance Instance
	err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&instance, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Instance{}, NotFound("instance.not_found")
	}
	return instance, err
}

// holdInstance keeps an instance, if there is one, from being changed or deleted until the transaction ends. Transactions
// that add what refers to it do so before they lock anything else, as those do that change it.
func holdInstance(tx *gorm.DB, id int64) error {
	return tx.Table("instances").Clauses(clause.Locking{Strength: "KEY SHARE"}).Where("id = ?", id).Pluck("id", &[]int64{}).Error
}

// holdFreeInstances does the same to those that a query names and that nobody changes now. They are a JSON parameter.
func holdFreeInstances(tx *gorm.DB, query string, values ...any) (string, error) {
	held := []int64{}
	err := tx.Table("instances").Clauses(clause.Locking{Strength: "KEY SHARE", Options: "SKIP LOCKED"}).
		Where("id IN ("+query+")", values...).Order("id").Pluck("id", &held).Error
	if err != nil {
		return "", err
	}
	return jsonParameter(held)
}

// CreateInstance adds an instance; tags that do not exist are created, and so is newCredential unless it is nil.
func (s *Store) CreateInstance(ctx context.Context, i Instance, tagNames []string, newCredential *NewCredential) (Instance, error) {
	if err := i.checkTexts(); err != nil {
		return Instance{}, err
	}
	if i.Options == nil {
		i.Options = map[string]string{}
	}
	var fresh Instance
	err := s.change(ctx, func(tx *gorm.DB) error {
		i, err := s.attachCredential(tx, i, newCredential)
		if err != nil {
			return err
		}
		i.ID, i.DeletedAt = 0, nil
		i.LastConnected, i.LastSyncTime = stampPointer(i.LastConnected), stampPointer(i.LastSyncTime)
		if err := tx.Omit("Tags", "Credential").Create(&i).Error; err != nil {
			return instanceRefused(err)
		}
		if err := foldInstance(tx, i); err != nil {
			return err
		}
		if err := setTags(tx, i.ID, tagNames); err != nil {
			return err
		}
		if err := s.saveSchedule(tx, i.ID, i.Schedule); err != nil {
			return err
		}
		fresh, err = takeInstance(tx, "id = ?", i.ID)
		return err
	})
	return fresh, err
}

// editableColumns are what UpdateInstance writes.
var editableColumns = []string{
	"name", "db_type", "host", "port", "database_name", "credential_id", "description", "is_active", "tls_mode", "options",
}

// UpdateInstance writes what a person can edit of the instance with i's id. Nil tagNames and a nil newCredential
// leave tags and credential as i has them.
func (s *Store) UpdateInstance(ctx context.Context, i Instance, tagNames *[]string, newCredential *NewCredential) (Instance, error) {
	if err := i.checkTexts(); err != nil {
		return Instance{}, err
	}
	if i.Options == nil {
		i.Options = map[string]string{}
	}
	var updated Instance
	err := s.change(ctx, func(tx *gorm.DB) error {
		stored, err := lockInstance(tx, i.ID)
		if err != nil {
			return err
		}
		if stored.DeletedAt != nil {
			return NotFound("instance.not_found")
		}
		i, err := s.attachCredential(tx, i, newCredential)
		if err != nil {
			return err
		}
		reconnects := newCredential != nil || i.reconnects(stored)
		if err := tx.Model(&stored).Select(editableColumns).Updates(&i).Error; err != nil {
			return instanceRefused(err)
		}
		if err := foldInstance(tx, i); err != nil {
			return err
		}
		if tagNames != nil {
			if err := setTags(tx, i.ID, *tagNames); err != nil {
				return err
			}
		}
		if reconnects {
			if err := resume(tx, "instance_id = ?", i.ID).Error; err != nil {
				return err
			}
		}
		if err := s.saveSchedule(tx, i.ID, i.Schedule); err != nil {
			return err
		}
		updated, err = takeInstance(tx, "id = ?", i.ID)
		return err
	})
	return updated, err
}

// reconnects reports whether the instance is reached in another way than the stored one, or again.
func (i *Instance) reconnects(stored Instance) bool {
	return i.IsActive && !stored.IsActive || i.DBType != stored.DBType || !sameValue(i.Host, stored.Host) || !sameValue(i.Port, stored.Port) ||
		i.DatabaseName != stored.DatabaseName || !sameValue(i.CredentialID, stored.CredentialID) || i.TLSMode != stored.TLSMode ||
		!maps.Equal(i.Options, stored.Options)
}

func sameValue[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func (i *Instance) checkTexts() error {
	texts := []string{i.Name, i.DatabaseName, i.Description}
	if i.Host != nil {
		texts = append(texts, *i.Host)
	}
	return requireStorable(texts...)
}

func (s *Store) attachCredential(tx *gorm.DB, i Instance, fresh *NewCredential) (Instance, error) {
	i.Credential, i.Tags = nil, nil
	if fresh == nil {
		return i, nil
	}
	name, err := freeCredentialName(tx, i.Name)
	if err != nil {
		return i, err
	}
	credential, err := s.insertCredential(tx, Credential{Name: name, DBType: i.DBType, Username: fresh.Username}, fresh.Password)
	i.CredentialID = &credential.ID
	return i, err
}

func instanceRefused(err error) error {
	switch {
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return conflict("instance.name_taken", err)
	case errors.Is(err, gorm.ErrForeignKeyViolated):
		return Invalid("instance.credential_missing")
	}
	return err
}

func foldInstance(tx *gorm.DB, i Instance) error {
	host := ""
	if i.Host != nil {
		host = *i.Host
	}
	return tx.Table("instances").Where("id = ?", i.ID).Updates(map[string]any{
		"name_fold": fold(i.Name), "host_fold": fold(host), "description_fold": fold(i.Description),
	}).Error
}

// DeleteInstance moves an instance to the recycle bin and switches it off. One that is there already stays as it is.
func (s *Store) DeleteInstance(ctx context.Context, id int64) (Instance, error) {
	var deleted Instance
	err := s.change(ctx, func(tx *gorm.DB) error {
		stored, err := lockInstance(tx, id)
		if err != nil {
			return err
		}
		if stored.DeletedAt == nil {
			err := tx.Model(&stored).Updates(map[string]any{"deleted_at": s.Now(), "is_active": false}).Error
			if err != nil {
				return err
			}
		}
		deleted, err = takeInstance(tx, "id = ?", id)
		return err
	})
	return deleted, err
}

// RestoreInstance takes an instance out of the recycle bin, switched off; false: it was not in there.
func (s *Store) RestoreInstance(ctx context.Context, id int64) (Instance, bool, error) {
	var restored Instance
	var wasDeleted bool
	err := s.change(ctx, func(tx *gorm.DB) error {
		stored, err := lockInstance(tx, id)
		if err != nil {
			return err
		}
		if wasDeleted = stored.DeletedAt != nil; wasDeleted {
			if err := tx.Model(&stored).Update("deleted_at", nil).Error; err != nil {
				return instanceRefused(err)
			}
		}
		restored, err = takeInstance(tx, "id = ?", id)
		return err
	})
	return restored, wasDeleted && err == nil, err
}

// RecordConnection keeps what a server said about itself when it was connected to, without what no store can hold.
func (s *Store) RecordConnection(ctx context.Context, id int64, v Version, at time.Time) error {
	db, done := bounded(ctx, s.writer)
	defer done()
	found := db.Table("instances").Where("id = ?", id).Updates(map[string]any{
		"database_version": cleaned(v.Full), "main_version": cleaned(v.Main), "detailed_version": cleaned(v.Detailed),
		"last_connected": stamp(at),
	})
	if found.Error == nil && found.RowsAffected == 0 {
		return NotFound("instance.not_found")
	}
	return found.Error
}
