package models

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// ExplainTables is the store's plan for each statement a page of tables may need.
func (s *Store) ExplainTables(ctx context.Context, q TableQuery) ([]string, error) {
	order := newTableOrder(q.Sort, q.Desc)
	ranges := []condition{{sql: "1 = 1"}}
	if q.Cursor != "" {
		cursor, err := parseTableCursor(q, order)
		if err != nil {
			return nil, err
		}
		ranges = order.after(cursor)
	}
	explain := "EXPLAIN "
	if s.path != "" {
		explain = "EXPLAIN QUERY PLAN "
	}
	var plans []string
	for _, r := range ranges {
		statement := s.reader.ToSQL(func(tx *gorm.DB) *gorm.DB {
			return s.tableRange(tx, q, order, r).Limit(q.Limit + 1).Find(&[]DatabaseTableSizeStat{})
		})
		plan, err := s.explain(ctx, explain+statement)
		if err != nil {
			return nil, err
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

func (s *Store) explain(ctx context.Context, statement string) (string, error) {
	var lines []map[string]any
	err := s.reader.WithContext(ctx).Raw(statement).Scan(&lines).Error
	var plan strings.Builder
	for _, line := range lines {
		for _, column := range []string{"detail", "QUERY PLAN"} {
			if text, ok := line[column]; ok {
				fmt.Fprintln(&plan, text)
			}
		}
	}
	return plan.String(), err
}

// Occupy runs do while the store's writer is taken; on PostgreSQL a row of sessions is what is taken.
func (s *Store) Occupy(ctx context.Context, do func()) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		err := tx.Model(&Session{}).Where("1 = 1").UpdateColumn("created_at", gorm.Expr("created_at")).Error
		do()
		return err
	})
}
