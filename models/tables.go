package models

import "context"

func (s *Store) SaveTableSizes(ctx context.Context, in SaveTables) (Receipt, error) { panic("stub") }
func (s *Store) TableSizes(ctx context.Context, q TableQuery) (TablePage, error)    { panic("stub") }
