package models

import (
	"context"
	"errors"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Tag groups instances.
type Tag struct {
	ID          int64 `gorm:"primaryKey"`
	Name        string
	DisplayName string
	Color       string // palette name: blue, green, …
	Category    string // groups tags; empty: none
}

// TagColors lists the colors of tags. Tags created by naming them get the first.
var TagColors = []string{"gray", "blue", "teal", "green", "yellow", "orange", "red", "pink", "purple"}

// TagQuery selects and orders a page of tags. Zero values mean no filter.
type TagQuery struct {
	Search        string // case-insensitive substring of name or display name, taken literally
	Category      string // exact
	Sort          string // name (default) | display_name | color | instances
	Desc          bool
	Limit, Offset int
}

// TagItem is a tag with the number of instances that have it, those in the recycle bin excluded.
type TagItem struct {
	Tag
	InstanceCount int64
}

// TagPage is one page of tags and the number of all that match.
type TagPage struct {
	Items []TagItem
	Total int64
}

const tagItemSQL = `t.id, t.name, t.display_name, t.color, t.category, (SELECT count(*) FROM instance_tags it
	JOIN instances i ON i.id = it.instance_id WHERE it.tag_id = t.id AND i.deleted_at IS NULL) AS instance_count`

var tagOrders = map[string]string{
	"name": "t.name", "display_name": "t.display_name", "color": "t.color", "instances": "instance_count",
}

// instanceTag links an instance to a tag.
type instanceTag struct{ InstanceID, TagID int64 }

// Tags returns all tags, sorted by name.
func (s *Store) Tags(ctx context.Context) ([]Tag, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var tags []Tag
	err := db.Order("name").Find(&tags).Error
	return tags, err
}

// TagsOfCategory returns the tags of a category, empty for all, sorted by category, display name and name.
func (s *Store) TagsOfCategory(ctx context.Context, category string) ([]Tag, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var tags []Tag
	err := equal(db, "category", category).Order("category, display_name, name").Find(&tags).Error
	return tags, err
}

// TagByName returns the tag with the exact name, or CodeNotFound.
func (s *Store) TagByName(ctx context.Context, name string) (TagItem, error) {
	if !storable(name) {
		return TagItem{}, NotFound("tag.not_found")
	}
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeTag(db, "t.name = ?", name)
}

// TagStatistics counts tags.
type TagStatistics struct{ Total, Categories int64 }

// TagStatistics returns the statistics of all tags.
func (s *Store) TagStatistics(ctx context.Context) (TagStatistics, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var out TagStatistics
	err := db.Raw(`SELECT count(*) AS total, count(DISTINCT NULLIF(category, '')) AS categories FROM tags`).
		Scan(&out).Error
	return out, err
}

// TagPage returns a page of the tags that q selects. An unknown sort means by name.
func (s *Store) TagPage(ctx context.Context, q TagQuery) (TagPage, error) {
	order, known := tagOrders[q.Sort]
	if !known {
		order = tagOrders["name"]
	}
	var page TagPage
	err := s.view(ctx, func(tx *gorm.DB) error {
		filtered, err := s.filterTags(tx, q)
		if err != nil {
			return err
		}
		if err := filtered.Count(&page.Total).Error; err != nil {
			return err
		}
		return filtered.Select(tagItemSQL).Order(order + direction(q.Desc) + ", t.name").
			Limit(q.Limit).Offset(q.Offset).Scan(&page.Items).Error
	})
	return page, err
}

// filterTags selects tags. Tags are few and have no folded columns, so they are compared in Go, by
// Unicode's case folding.
func (s *Store) filterTags(tx *gorm.DB, q TagQuery) (*gorm.DB, error) {
	filtered := equal(tx.Table("tags AS t"), "t.category", q.Category).Session(&gorm.Session{})
	if q.Search == "" {
		return filtered, nil
	}
	var all []Tag
	if err := tx.Find(&all).Error; err != nil {
		return nil, err
	}
	ids := []int64{}
	for _, t := range all {
		if term := fold(q.Search); strings.Contains(fold(t.Name), term) || strings.Contains(fold(t.DisplayName), term) {
			ids = append(ids, t.ID)
		}
	}
	parameter, err := jsonParameter(ids)
	return filtered.Where("t.id IN "+s.dialect.ids(), parameter).Session(&gorm.Session{}), err
}

// Tag returns the tag with the id, or CodeNotFound.
func (s *Store) Tag(ctx context.Context, id int64) (TagItem, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeTag(db, "t.id = ?", id)
}

func takeTag(tx *gorm.DB, condition string, value any) (TagItem, error) {
	var tag TagItem
	err := tx.Table("tags AS t").Select(tagItemSQL).Where(condition, value).Take(&tag).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return TagItem{}, NotFound("tag.not_found")
	}
	return tag, err
}

// CreateTag adds a tag. A name in use is CodeConflict.
func (s *Store) CreateTag(ctx context.Context, t Tag) (TagItem, error) {
	if err := requireStorable(t.Name, t.DisplayName, t.Category); err != nil {
		return TagItem{}, err
	}
	db, done := bounded(ctx, s.writer)
	defer done()
	t.ID = 0
	if err := db.Create(&t).Error; err != nil {
		return TagItem{}, tagNameTaken(err)
	}
	return TagItem{Tag: t}, nil
}

// UpdateTag writes name, display name, color and category of the tag with t's id. A name in use is CodeConflict.
func (s *Store) UpdateTag(ctx context.Context, t Tag) (TagItem, error) {
	if err := requireStorable(t.Name, t.DisplayName, t.Category); err != nil {
		return TagItem{}, err
	}
	var updated TagItem
	err := s.change(ctx, func(tx *gorm.DB) (err error) {
		if err := tx.Model(&t).Select("name", "display_name", "color", "category").Updates(&t).Error; err != nil {
			return tagNameTaken(err)
		}
		updated, err = takeTag(tx, "t.id = ?", t.ID)
		return err
	})
	return updated, err
}

func tagNameTaken(err error) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return conflict("tag.name_taken", err)
	}
	return err
}

// DeleteTag deletes a tag and removes it from the instances in the recycle bin. One that other instances have is
// CodeTagInUse.
func (s *Store) DeleteTag(ctx context.Context, id int64) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		// Whoever gives the tag to an instance waits for this lock, so the count cannot become wrong.
		locked := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
		if err := locked.Take(&Tag{}, "id = ?", id).Error; err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
			return err
		}
		tag, err := takeTag(tx, "t.id = ?", id)
		if err != nil {
			return err
		}
		if tag.InstanceCount > 0 {
			return tagInUse(tag)
		}
		return tx.Delete(&Tag{}, "id = ?", id).Error
	})
}

func tagInUse(t TagItem) *Error {
	refused := &Error{Code: CodeTagInUse, Key: "tag.in_use", Args: Args("Name", t.DisplayName, "N", t.InstanceCount)}
	return refused.With("tag_id", t.ID).With("instance_count", t.InstanceCount)
}

// setTags replaces the instance's tags by the named ones, creating those that do not exist. Tags are created and
// locked in sorted order and before the links change: a concurrent transaction with the same tags, or one that deletes
// a tag, takes the locks in the same order and cannot deadlock with it. A tag deleted in the meantime is left out.
func setTags(tx *gorm.DB, instanceID int64, names []string) error {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if err := requireStorable(names...); err != nil {
		return err
	}
	var tags []Tag
	if len(names) > 0 {
		if err := createTags(tx, names); err != nil {
			return err
		}
		locked := tx.Clauses(clause.Locking{Strength: "KEY SHARE"}).Order("id")
		if err := locked.Find(&tags, "name IN ?", names).Error; err != nil {
			return err
		}
	}
	if err := tx.Delete(&instanceTag{}, "instance_id = ?", instanceID).Error; err != nil || len(tags) == 0 {
		return err
	}
	links := make([]instanceTag, len(tags))
	for i, tag := range tags {
		links[i] = instanceTag{InstanceID: instanceID, TagID: tag.ID}
	}
	return tx.Create(&links).Error
}

// tagsAtOnce is how many tags one statement creates; each needs several of its parameters.
const tagsAtOnce = 500

// createTags creates the tags that do not exist. The names must be sorted.
func createTags(tx *gorm.DB, names []string) error {
	missing := make([]Tag, len(names))
	for i, name := range names {
		missing[i] = Tag{Name: name, DisplayName: name, Color: TagColors[0]}
	}
	return tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(&missing, tagsAtOnce).Error
}
