package models

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// AssignTags gives each of the tags to each of the instances outside the recycle bin and returns how many had not been
// there. Unknown ids are passed over; if none of the instances or none of the tags exists, it is CodeNotFound.
func (s *Store) AssignTags(ctx context.Context, instanceIDs, tagIDs []int64) (assigned int64, err error) {
	err = s.changeLinks(ctx, instanceIDs, tagIDs, func(tx *gorm.DB, instances, tags string) error {
		added := tx.Exec(`INSERT INTO instance_tags (instance_id, tag_id) SELECT i.id, t.id FROM instances i
			CROSS JOIN tags t WHERE i.id IN `+s.dialect.ids()+` AND t.id IN `+s.dialect.ids()+`
			ON CONFLICT DO NOTHING`, instances, tags)
		assigned = added.RowsAffected
		return added.Error
	})
	return assigned, err
}

// RemoveTags takes each of the tags from each of the instances and returns how many had been there. Unknown ids count
// as in AssignTags.
func (s *Store) RemoveTags(ctx context.Context, instanceIDs, tagIDs []int64) (removed int64, err error) {
	err = s.changeLinks(ctx, instanceIDs, tagIDs, func(tx *gorm.DB, instances, tags string) error {
		gone := tx.Exec(`DELETE FROM instance_tags WHERE instance_id IN `+s.dialect.ids()+
			` AND tag_id IN `+s.dialect.ids(), instances, tags)
		removed = gone.RowsAffected
		return gone.Error
	})
	return removed, err
}

// RemoveAllTags takes all tags from the instances and returns how many these were. Unknown ids count as in AssignTags.
func (s *Store) RemoveAllTags(ctx context.Context, instanceIDs []int64) (removed int64, err error) {
	err = s.change(ctx, func(tx *gorm.DB) error {
		instances, err := s.lockPresent(tx, "instances", "deleted_at IS NULL", instanceIDs, "instance.none_found")
		if err != nil {
			return err
		}
		gone := tx.Exec(`DELETE FROM instance_tags WHERE instance_id IN `+s.dialect.ids(), instances)
		removed = gone.RowsAffected
		return gone.Error
	})
	return removed, err
}

// changeLinks locks the instances and tags that exist, and calls do with their ids as parameters for dialect.ids.
func (s *Store) changeLinks(
	ctx context.Context, instanceIDs, tagIDs []int64, do func(tx *gorm.DB, instances, tags string) error,
) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		instances, err := s.lockPresent(tx, "instances", "deleted_at IS NULL", instanceIDs, "instance.none_found")
		if err != nil {
			return err
		}
		tags, err := s.lockPresent(tx, "tags", "true", tagIDs, "tag.none_found")
		if err != nil {
			return err
		}
		return do(tx, instances, tags)
	})
}

// lockPresent prevents the deletion of those rows of the table that have one of the ids and meet the condition, and
// returns their ids as a parameter for dialect.ids. If there are none, it is CodeNotFound with the key.
func (s *Store) lockPresent(tx *gorm.DB, table, condition string, ids []int64, missing string) (string, error) {
	parameter, err := jsonParameter(ids)
	if err != nil {
		return "", err
	}

	present := []int64{}
	err = tx.Table(table).Clauses(clause.Locking{Strength: "KEY SHARE"}).Where(condition).
		Where("id IN "+s.dialect.ids(), parameter).Order("id").Pluck("id", &present).Error
	if err != nil {
		return "", err
	}
	if len(present) == 0 {
		return "", NotFound(missing)
	}
	return jsonParameter(present)
}

// TagsOf returns the tags that any of the instances outside the recycle bin has, sorted by name. If none of the
// instances exists, it is CodeNotFound.
func (s *Store) TagsOf(ctx context.Context, instanceIDs []int64) ([]Tag, error) {
	parameter, err := jsonParameter(instanceIDs)
	if err != nil {
		return nil, err
	}
	var tags []Tag
	err = s.view(ctx, func(tx *gorm.DB) error {
		var present int64
		err := tx.Table("instances").Where("deleted_at IS NULL AND id IN "+s.dialect.ids(), parameter).
			Count(&present).Error
		if err != nil {
			return err
		}
		if present == 0 {
			return NotFound("instance.none_found")
		}
		return tx.Order("name").Find(&tags, `id IN (SELECT it.tag_id FROM instance_tags it JOIN instances i
			ON i.id = it.instance_id WHERE i.deleted_at IS NULL AND i.id IN `+s.dialect.ids()+")", parameter).Error
	})
	return tags, err
}
