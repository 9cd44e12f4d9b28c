package collectortest

import (
	"context"
	"database/sql"
	"testing"

	"whalefall/collectors"
	"whalefall/models"
)

// WithoutFirstRow returns a reader that loses the first row of one statement.
func WithoutFirstRow(read collectors.Reader, statement string) collectors.Reader {
	return func(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
		lost := text != statement
		return read(ctx, text, func(rows *sql.Rows) error {
			if !lost {
				lost = true
				return nil
			}
			return scan(rows)
		}, args...)
	}
}

// WantCutShort fails unless the result says that lists arrived cut, and has tables but no sizes.
func WantCutShort(t *testing.T, r models.TableResult) {
	t.Helper()
	if r.Complete || r.Proof != models.ProofShort || r.Hidden != 0 || r.Residual != nil || r.Grant != "" {
		t.Errorf("got complete %v, proof %q, %d hidden, residual %s, grant %q; want a cut result",
			r.Complete, r.Proof, r.Hidden, Text(r.Residual), r.Grant)
	}
	for _, table := range r.Tables {
		if table.Unread != models.UnreadFailed || table.Total != nil || table.Rows != nil {
			t.Errorf("%s: got %+v, want it unread", table.Name, table)
		}
	}
}

// WantCutShortDatabases fails unless the result says that the list arrived cut.
func WantCutShortDatabases(t *testing.T, r models.DatabaseResult, err error) {
	t.Helper()
	if err != nil || r.Complete || r.Proof != models.ProofShort || len(r.Databases) == 0 {
		t.Errorf("got %+v, %v; want a cut list", r, err)
	}
}
