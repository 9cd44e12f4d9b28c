package models

import (
	"context"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// defaultTagColor is what a tag gets that was made by naming it.
const defaultTagColor = "gray"

// instanceTag says that an instance has a tag.
type instanceTag struct{ InstanceID, TagID int64 }

// Tags lists all tags by name.
func (s *Store) Tags(ctx context.Context) ([]Tag, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var tags []Tag
	err := db.Order("name").Find(&tags).Error
	return tags, err
}

// setTags makes the named tags the instance's only ones, and creates those that do not exist: in one order, as two
// transactions that create the same tags in different orders would wait for each other.
func setTags(tx *gorm.DB, instanceID int64, names []string) error {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if err := requireStorable(names...); err != nil {
		return err
	}
	if err := tx.Delete(&instanceTag{}, "instance_id = ?", instanceID).Error; err != nil {
		return err
	}
	if len(names) == 0 {
		return nil
	}
	missing := make([]Tag, len(names))
	for i, name := range names {
		missing[i] = Tag{Name: name, DisplayName: name, Color: defaultTagColor}
	}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&missing).Error; err != nil {
		return err
	}
	var tags []Tag
	if err := tx.Find(&tags, "name IN ?", names).Error; err != nil {
		return err
	}
	links := make([]instanceTag, len(tags))
	for i, tag := range tags {
		links[i] = instanceTag{InstanceID: instanceID, TagID: tag.ID}
	}
	return tx.Create(&links).Error
}
