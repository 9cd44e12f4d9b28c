package models

import (
	"context"

	"gorm.io/gorm"
)

// Try runs statements as a change of the store does.
func (s *Store) Try(ctx context.Context, statements ...string) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		for _, text := range statements {
			if err := tx.Exec(text).Error; err != nil {
				return err
			}
		}
		return nil
	})
}
