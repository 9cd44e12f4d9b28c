package models

import (
	"context"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Deletion says what became of instances that were to be deleted. One that was in the recycle bin already and is only
// moved there is in neither list.
type Deletion struct {
	Deleted []Instance // by id, without credential and tags
	Missing []int64    // ascending
}

// DeleteInstances moves instances to the recycle bin and switches them off, in one transaction.
func (s *Store) DeleteInstances(ctx context.Context, ids []int64) (Deletion, error) {
	parameter, err := jsonParameter(ids)
	if err != nil {
		return Deletion{}, err
	}
	var out Deletion
	err = s.change(ctx, func(tx *gorm.DB) error {
		var found []Instance
		err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Order("id").
			Find(&found, "id IN "+s.dialect.ids(), parameter).Error
		if err != nil {
			return err
		}
		out.Missing = missingFrom(found, ids)
		out.Deleted = slices.DeleteFunc(found, func(i Instance) bool { return i.DeletedAt != nil })
		return tx.Model(&Instance{}).Where("deleted_at IS NULL AND id IN "+s.dialect.ids(), parameter).
			Updates(map[string]any{"deleted_at": s.Now(), "is_active": false}).Error
	})
	return out, err
}

// missingFrom are the ids that none of the instances has.
func missingFrom(found []Instance, ids []int64) []int64 {
	missing := slices.Compact(slices.Sorted(slices.Values(ids)))
	return slices.DeleteFunc(missing, func(id int64) bool {
		return slices.ContainsFunc(found, func(i Instance) bool { return i.ID == id })
	})
}

// DestroyInstances removes instances and all that belongs to them for good, also from the recycle bin. Each goes in a
// transaction of its own, so that nobody who wants to write waits for more than one of them; an error leaves those that
// were not reached as they are.
func (s *Store) DestroyInstances(ctx context.Context, ids []int64) (Deletion, error) {
	var out Deletion
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		instance, err := s.destroy(ctx, id, func(Instance) error { return nil })
		switch {
		case err == nil:
			out.Deleted = append(out.Deleted, instance)
		case Is(err, CodeNotFound):
			out.Missing = append(out.Missing, id)
		default:
			return out, err
		}
	}
	return out, nil
}

// DestroyDeletedInstance removes an instance that is in the recycle bin, and all that belongs to it, for good.
func (s *Store) DestroyDeletedInstance(ctx context.Context, id int64) (Instance, error) {
	return s.destroy(ctx, id, func(i Instance) error {
		if i.DeletedAt == nil {
			return conflict("instance.not_in_bin", nil)
		}
		return nil
	})
}

// destroy leaves it to the foreign keys to remove what belongs to the instance; its credential stays. The runs go first:
// one that ends meanwhile refers to a database, and would wait for us while we wait for it.
func (s *Store) destroy(ctx context.Context, id int64, refuse func(Instance) error) (Instance, error) {
	var gone Instance
	err := s.change(ctx, func(tx *gorm.DB) (err error) {
		if gone, err = lockInstance(tx, id); err != nil {
			return err
		}
		if err := refuse(gone); err != nil {
			return err
		}
		if err := tx.Delete(&Run{}, "instance_id = ?", id).Error; err != nil {
			return err
		}
		return tx.Delete(&Instance{}, "id = ?", id).Error
	})
	return gone, err
}
