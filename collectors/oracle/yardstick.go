package oracle

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"whalefall/collectors"
	"whalefall/models"
)

// objectSegments lists the types of segments that belong to a relation that collections list.
var objectSegments = []string{
	"TABLE", "TABLE PARTITION", "TABLE SUBPARTITION", "NESTED TABLE", "LOBSEGMENT", "LOB PARTITION", "LOB SUBPARTITION",
	"LOBINDEX", "INDEX", "INDEX PARTITION", "INDEX SUBPARTITION", "CLUSTER",
}

// yardstickSums holds the server's own sums of the segments in one tablespace, in bytes.
type yardstickSums struct {
	all    int64
	owners map[string]int64 // by owner, only segments with a type in objectSegments
}

// Yardstick returns the sums of the tablespace's segments: of all, and of each owner. An owner with an index on another
// owner's table has no sum, nor has the owner of that table, because a collection counts an index with its table.
func (c *Collector) Yardstick(ctx context.Context, t collectors.Target, tablespace string) (models.Yardstick, error) {
	s, err := c.open(ctx, t)
	if err != nil {
		return models.Yardstick{}, err
	}
	defer s.close()

	sums, ownOnly, err := s.yardstickSums(ctx, tablespace)
	if err != nil {
		return models.Yardstick{}, s.failed(ctx, err)
	}
	y := models.Yardstick{
		Means: "SUM(BYTES) of DBA_SEGMENTS", Lacks: "single relations, only of all and of each owner together",
		Sums: []models.YardstickSum{{Name: "all segments", Total: sums.all, Residual: true}},
	}
	if ownOnly {
		y.Means = "SUM(BYTES) of USER_SEGMENTS"
		return y, nil
	}

	crossing, err := s.crossingOwners(ctx)
	if err != nil {
		return models.Yardstick{}, s.failed(ctx, err)
	}
	for owner, bytes := range sums.owners {
		if !crossing[owner] {
			y.Sums = append(y.Sums, models.YardstickSum{Name: "segments of", Schema: owner, Total: bytes})
		}
	}
	slices.SortFunc(y.Sums, func(a, b models.YardstickSum) int { return cmp.Compare(a.Schema, b.Schema) })
	return y, nil
}

// yardstickSums sums the first view that the account may read, in the order that a collection tries them. ownOnly
// reports whether that has only the account's own segments.
func (s *session) yardstickSums(ctx context.Context, tablespace string) (sums yardstickSums, ownOnly bool, err error) {
	for _, view := range []string{"yardstick", "yardstick_sys", "yardstick_user"} {
		sums = yardstickSums{owners: map[string]int64{}}
		err = s.each(ctx, view, func(rows *sql.Rows) error {
			var in, owner, kind textColumn
			var bytes collectors.Number
			if err := rows.Scan(&in, &owner, &kind, &bytes); err != nil {
				return err
			}

			if string(in) != tablespace || !bytes.Known() {
				return nil
			}
			sums.all += int64(bytes)
			if slices.Contains(objectSegments, string(kind)) {
				sums.owners[string(owner)] += int64(bytes)
			}
			return nil
		})
		if !isDenied(err) {
			return sums, view == "yardstick_user", err
		}
	}
	return sums, false, err
}

// crossingOwners returns the owners of indexes on tables of other owners, and the owners of those tables.
func (s *session) crossingOwners(ctx context.Context) (map[string]bool, error) {
	owners := map[string]bool{}
	return owners, s.each(ctx, "yardstick_crossing", func(rows *sql.Rows) error {
		var owner, tableOwner textColumn
		if err := rows.Scan(&owner, &tableOwner); err != nil {
			return err
		}
		owners[string(owner)], owners[string(tableOwner)] = true, true
		return nil
	})
}
