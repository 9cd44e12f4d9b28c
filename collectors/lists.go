package collectors

import (
	"context"
	"database/sql"
	"math"

	"whalefall/models"
)

// Reader runs a statement within the limits of an engine's session and calls scan for each row.
type Reader func(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error

// List runs a statement that lists something and reports whether every row arrived: a limit on rows that a server, a
// trigger at login or a proxy sets cuts lists without an error. The server counts the rows in a statement of its own,
// whose one row no such limit cuts, and once more if fewer arrive, since some may have been dropped meanwhile.
func (read Reader) List(
	ctx context.Context, text string, scan func(*sql.Rows) error, args ...any,
) (whole bool, err error) {
	counted, err := read.Count(ctx, text, args...)
	if err != nil {
		return false, err
	}

	var arrived int64
	err = read(ctx, text, func(rows *sql.Rows) error {
		arrived++
		return scan(rows)
	}, args...)
	if err != nil || arrived >= counted {
		return err == nil, err
	}

	counted, err = read.Count(ctx, text, args...)
	return arrived >= counted, err
}

// ListNoting calls List and sets short if rows are missing.
func (read Reader) ListNoting(
	ctx context.Context, short *bool, text string, scan func(*sql.Rows) error, args ...any,
) error {
	whole, err := read.List(ctx, text, scan, args...)
	*short = *short || err == nil && !whole
	return err
}

// Count returns how many rows a statement has, as the server counts them: more than any list has, math.MaxInt64, if not
// even the count arrives.
func (read Reader) Count(ctx context.Context, text string, args ...any) (count int64, err error) {
	count = math.MaxInt64
	err = read(ctx, CountOf(text), func(rows *sql.Rows) error { return rows.Scan(&count) }, args...)
	return count, err
}

// CountOf returns the statement that counts the rows of a SELECT. Every column must have a name of its own: MySQL and
// SQL Server demand that of a subquery.
func CountOf(text string) string { return "SELECT COUNT(*) FROM (\n" + text + "\n) counted" }

// CutShort returns the result of a collection of which some list arrived without all of its rows. It is not complete,
// and all tables are unread, since sums may be too small.
func CutShort(r models.TableResult) models.TableResult { return Contradicted(r, models.ProofShort) }

// Contradicted returns a result that the proof shows not to be complete. All of its tables are unread.
func Contradicted(r models.TableResult, proof models.Proof) models.TableResult {
	r.Complete, r.Proof, r.Grant = false, proof, ""
	r.Hidden, r.Residual = 0, nil
	for i, t := range r.Tables {
		r.Tables[i] = models.TableSize{
			Schema: t.Schema, Name: t.Name, Kind: t.Kind, ParentSchema: t.ParentSchema, Parent: t.Parent,
			RolledUp: t.RolledUp, SizeSource: models.SizeNone, Unread: models.UnreadFailed,
		}
	}
	return r
}

// CutShortDatabases returns a list of databases of which some list arrived without all of its rows. It is not complete,
// and none of the databases has a size.
func CutShortDatabases(r models.DatabaseResult) models.DatabaseResult {
	r.Complete, r.Proof, r.Grant = false, models.ProofShort, ""
	for i, d := range r.Databases {
		r.Databases[i] = models.DatabaseSize{Name: d.Name, IsSystem: d.IsSystem, Closed: d.Closed, Err: ErrShort(d.Name)}
	}
	return r
}

// ErrShort returns the error for a database that cannot be measured because lists of the server arrive cut.
func ErrShort(database string) *models.Error {
	return &models.Error{Code: models.CodeCollection, Key: "collect.short", Args: models.Args("Name", database)}
}
