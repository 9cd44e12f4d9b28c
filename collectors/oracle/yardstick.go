package oracle

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"whalefall/collectors"
	"whalefall/models"
)

// objectSegments are the types of segments that belong to something that is listed.
var objectSegments = []string{
	"TABLE", "TABLE PARTITION", "TABLE SUBPARTITION", "NESTED TABLE", "LOBSEGMENT", "LOB PARTITION", "LOB SUBPARTITION",
	"LOBINDEX", "INDEX", "INDEX PARTITION", "INDEX SUBPARTITION", "CLUSTER",
}

// yardstickSums is the bytes that the server has in segments of one tablespace.
type yardstickSums struct {
	all    int64
	owners map[string]int64 // of what belongs to something that is listed
}

// Yardstick sums the segments of the tablespace: all of them, and those of each owner.
func (c *Collector) Yardstick(ctx context.Context, t collectors.Target, tablespace string) (models.Yardstick, error) {
	s, err := c.open(ctx, t)
	if err != nil {
		return models.Yardstick{}, err
	}
	defer s.close()
	y := models.Yardstick{Means: "SUM(BYTES) of DBA_SEGMENTS", Lacks: "single relations, only of all and of each owner together"}
	yard, ownOnly, err := s.yard(ctx, tablespace)
	if err != nil {
		return models.Yardstick{}, s.failed(ctx, err)
	}
	y.Sums = []models.YardstickSum{{Name: "all segments", Total: yard.all, Residual: true}}
	if ownOnly {
		y.Means = "SUM(BYTES) of USER_SEGMENTS"
		return y, nil
	}
	guests, err := s.guests(ctx)
	if err != nil {
		return models.Yardstick{}, s.failed(ctx, err)
	}
	for owner, bytes := range yard.owners {
		if !guests[owner] {
			y.Sums = append(y.Sums, models.YardstickSum{Name: "segments of", Schema: owner, Total: bytes})
		}
	}
	slices.SortFunc(y.Sums, func(a, b models.YardstickSum) int { return cmp.Compare(a.Schema, b.Schema) })
	return y, nil
}

// yard reads the view that the account may read, as a collection does.
func (s *session) yard(ctx context.Context, tablespace string) (yard yardstickSums, ownOnly bool, err error) {
	for _, view := range []string{"yardstick", "yardstick_sys", "yardstick_user"} {
		yard = yardstickSums{owners: map[string]int64{}}
		err = s.each(ctx, view, func(rows *sql.Rows) error {
			var in, owner, kind textColumn
			var bytes numberColumn
			err := rows.Scan(&in, &owner, &kind, &bytes)
			if string(in) != tablespace || bytes.value == nil {
				return err
			}
			yard.all += *bytes.value
			if slices.Contains(objectSegments, string(kind)) {
				yard.owners[string(owner)] += *bytes.value
			}
			return err
		})
		if !isDenied(err) {
			return yard, view == "yardstick_user", err
		}
	}
	return yard, false, err
}

// guests are the owners whose segments are not all of their own tables, and the owners of those tables: a collection
// books an index under its table.
func (s *session) guests(ctx context.Context) (map[string]bool, error) {
	owners := map[string]bool{}
	return owners, s.each(ctx, "yardstick_guests", func(rows *sql.Rows) error {
		var owner, tableOwner textColumn
		err := rows.Scan(&owner, &tableOwner)
		owners[string(owner)], owners[string(tableOwner)] = true, true
		return err
	})
}
