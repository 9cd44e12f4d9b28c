package models

import (
	"context"
	"maps"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// InstanceDraft is an instance to create with the names of its tags.
type InstanceDraft struct {
	Instance Instance
	TagNames []string
}

// Imported reports what CreateInstances did, in the order of the drafts.
type Imported struct {
	IDs   []int64  // ids of the created instances
	Taken []string // names in use, for which no instance was created
}

// CreateInstances creates all instances whose names are free, with tags that do not exist yet, in one transaction.
func (s *Store) CreateInstances(ctx context.Context, drafts []InstanceDraft) (Imported, error) {
	var out Imported
	err := s.change(ctx, func(tx *gorm.DB) error {
		out = Imported{IDs: []int64{}, Taken: []string{}}
		// Two imports of the same names in different orders would deadlock.
		if err := s.dialect.lockText(tx, "instances/import"); err != nil {
			return err
		}
		tagNames := map[int64][]string{}
		for _, draft := range drafts {
			id, free, err := insertDraft(tx, draft.Instance)
			switch {
			case err != nil:
				return err
			case !free:
				out.Taken = append(out.Taken, draft.Instance.Name)
				continue
			}
			out.IDs = append(out.IDs, id)
			tagNames[id] = draft.TagNames
		}
		return tagAll(tx, out.IDs, tagNames)
	})
	return out, err
}

// insertDraft creates one instance; free is false if its name is taken.
func insertDraft(tx *gorm.DB, i Instance) (id int64, free bool, err error) {
	if err := i.checkTexts(); err != nil {
		return 0, false, err
	}
	if i.Options == nil {
		i.Options = map[string]string{}
	}
	i.ID, i.DeletedAt = 0, nil
	created := tx.Clauses(clause.OnConflict{DoNothing: true}).Omit("Tags", "Credential").Create(&i)
	if created.Error != nil {
		return 0, false, instanceRefused(created.Error)
	}
	if created.RowsAffected == 0 {
		return 0, false, nil
	}
	return i.ID, true, foldInstance(tx, i)
}

// tagAll tags new instances. It creates all tags first and in sorted order, as concurrent transactions do, which
// avoids deadlocks.
func tagAll(tx *gorm.DB, ids []int64, names map[int64][]string) error {
	all := map[string]bool{}
	for _, some := range names {
		for _, name := range some {
			all[name] = true
		}
	}
	if err := createTags(tx, slices.Sorted(maps.Keys(all))); err != nil {
		return err
	}
	for _, id := range ids {
		if len(names[id]) == 0 {
			continue
		}
		if err := setTags(tx, id, names[id]); err != nil {
			return err
		}
	}
	return nil
}
