package models

import (
	"context"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Deletion reports what happened to the instances of a deletion. One that was to be moved to the recycle bin and
// already was there is in neither list.
type Deletion struct {
	Deleted []Instance // by id, without credential and tags
	Missing []int64    // ascending
}

// DeleteInstances moves instances to the recycle bin and deactivates them, in one transaction.
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
			Updates(s.intoBin()).Error
	})
	return out, err
}

// missingFrom returns the ids, ascending, that none of the instances has.
func missingFrom(found []Instance, ids []int64) []int64 {
	missing := slices.Compact(slices.Sorted(slices.Values(ids)))
	return slices.DeleteFunc(missing, func(id int64) bool {
		return slices.ContainsFunc(found, func(i Instance) bool { return i.ID == id })
	})
}

// DestroyInstances permanently deletes instances, in the recycle bin or not, with all their data. Each is deleted in
// its own transaction, so other writers wait for one at most. On an error the remaining instances are left as they
// are.
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

// DestroyDeletedInstance permanently deletes an instance in the recycle bin with all its data. One outside it is
// CodeConflict.
func (s *Store) DestroyDeletedInstance(ctx context.Context, id int64) (Instance, error) {
	return s.destroy(ctx, id, func(i Instance) error {
		if i.DeletedAt == nil {
			return conflict("instance.not_in_bin", nil)
		}
		return nil
	})
}

// destroy deletes the instance unless refuse returns an error. Foreign keys delete its data; the credential is kept.
// Runs are deleted first: a run that ends in the meantime refers to a database, and would deadlock with the cascade.
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
