package models

import (
	"context"
	"time"
)

func (s *Store) SaveInventory(ctx context.Context, instanceID int64, r DatabaseResult, at time.Time) (InventoryChange, error) {
	panic("stub")
}
func (s *Store) SaveDatabaseSizes(ctx context.Context, instanceID int64, r DatabaseResult, at time.Time) (saved int64, err error) {
	panic("stub")
}
func (s *Store) Databases(ctx context.Context, q DatabaseQuery) (DatabaseSizePage, error) {
	panic("stub")
}
func (s *Store) Cards(ctx context.Context, instanceID int64) (CapacityCards, error) { panic("stub") }
func (s *Store) Database(ctx context.Context, instanceID int64, name string) (InstanceDatabase, error) {
	panic("stub")
}
func (s *Store) AddDatabase(ctx context.Context, instanceID int64, name string, at time.Time) (InstanceDatabase, error) {
	panic("stub")
}
func (s *Store) MarkGone(ctx context.Context, databaseID int64, at time.Time) error { panic("stub") }
