package models

import (
	"context"
	"fmt"
	"iter"
	"time"

	"gorm.io/gorm"
)

// Limits of an export. While it runs the store has to keep the state that it reads.
const (
	exportTimeout = 15 * time.Minute // a whole export, which takes as long as its reader; the statements are short
	exportWait    = 30 * time.Second // waiting for another export to end
	exportBatch   = 5000             // rows read at a time
)

var errExportTimeout = fmt.Errorf("export took longer than %s", exportTimeout)

// TableExport streams a stored snapshot.
type TableExport struct {
	Database InstanceDatabase // header; its ID is 0 when the database is not known
	Total    int64            // rows of the filter
	Rows     iter.Seq2[TableSizeRow, error]
}

// ExportTables passes all rows that the query selects to do, in its order and from one state of the store. It ignores
// q's limit, offset and cursor. do is called once the first rows are read; its error ends the export. While half of
// the store's connections are exporting, further exports wait up to exportWait and are then CodeRateLimited.
func (s *Store) ExportTables(ctx context.Context, q TableQuery, do func(TableExport) error) error {
	q.Limit, q.Offset, q.Cursor = exportBatch, 0, ""
	ctx, cancel := context.WithTimeoutCause(ctx, exportTimeout, errExportTimeout)
	defer cancel()
	done, err := s.takeExport(ctx)
	if err != nil {
		return err
	}
	defer done()
	return s.reader.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		export, err := s.beginExport(tx, q)
		if err != nil {
			return err
		}
		return do(export)
	}, s.dialect.snapshot())
}

// takeExport waits for a free place and returns the function that gives it back.
func (s *Store) takeExport(ctx context.Context) (done func(), err error) {
	wait := time.NewTimer(exportWait)
	defer wait.Stop()
	select {
	case s.exports <- struct{}{}:
		return func() { <-s.exports }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-wait.C:
		return nil, &Error{Code: CodeRateLimited, RetryAfter: exportWait}
	}
}

// beginExport reads the header and the first rows.
func (s *Store) beginExport(tx *gorm.DB, q TableQuery) (TableExport, error) {
	database, err := databaseOf(tx, q)
	if Is(err, CodeNotFound) {
		return TableExport{Rows: func(func(TableSizeRow, error) bool) {}}, nil
	}
	if err != nil {
		return TableExport{}, err
	}

	r := s.newTableReader(tx, q, database)
	first, next, err := r.next(nil)
	if err != nil {
		return TableExport{}, err
	}
	total, err := r.count(len(first), next != nil)
	return TableExport{Database: database, Total: total, Rows: r.all(first, next)}, err
}

// all yields the given rows and all after them. An error comes last.
func (r *tableReader) all(rows []TableSizeRow, next *tableCursor) iter.Seq2[TableSizeRow, error] {
	return func(yield func(TableSizeRow, error) bool) {
		for {
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			var err error
			if rows, next, err = r.next(next); err != nil {
				yield(TableSizeRow{}, err)
				return
			}
		}
	}
}
