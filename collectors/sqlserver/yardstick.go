package sqlserver

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"

	"whalefall/collectors"
	"whalefall/models"
)

// Yardstick returns the sizes of each relation by sp_spaceused.
func (c *Collector) Yardstick(ctx context.Context, t collectors.Target, database string) (models.Yardstick, error) {
	s, err := c.enter(ctx, t, collectors.ServerName(database), true)
	if err != nil {
		return models.Yardstick{}, err
	}
	defer s.close()

	y := models.Yardstick{
		Means: "sp_spaceused of each table and indexed view",
		Lacks: "bytes of external and memory-optimised tables",
		Whole: true,
	}
	err = s.each(ctx, statements["yardstick"], func(rows *sql.Rows) error {
		var r models.YardstickRelation
		if err := rows.Scan(&r.Schema, &r.Name); err != nil {
			return err
		}

		y.Relations = append(y.Relations, r)
		return nil
	})
	for i := range y.Relations {
		if err == nil {
			err = s.spaceUsed(ctx, &y.Relations[i])
		}
	}
	if err == nil {
		y.Means, err = s.means(ctx, y.Means)
	}
	if err != nil {
		return models.Yardstick{}, s.failed(ctx, err)
	}
	return y, nil
}

// means adds to the yardstick's means the view that collections with this account read sizes from.
func (s *session) means(ctx context.Context, yardstick string) (string, error) {
	err := s.each(ctx, statements["pages"], func(*sql.Rows) error { return nil })
	if isDenied(err) {
		return yardstick + " (ours: sys.allocation_units, as the account may not read sys.dm_db_partition_stats)", nil
	}
	return yardstick + " (ours: sys.dm_db_partition_stats)", err
}

// spaceUsed reads the sizes of one relation. If the server refuses, it sets Unread and returns nil.
func (s *session) spaceUsed(ctx context.Context, r *models.YardstickRelation) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	object := quoted(r.Schema) + "." + quoted(r.Name)
	r.Schema, r.Name = collectors.ValidName(r.Schema), collectors.ValidName(r.Name)
	err := collectors.EachRow(ctx, s.conn, statements["yardstick_object"], func(rows *sql.Rows) error {
		var count, reserved, data, index, unused sql.NullString
		if err := rows.Scan(new(sql.NullString), &count, &reserved, &data, &index, &unused); err != nil {
			return err
		}

		for _, part := range []struct {
			text sql.NullString
			to   **int64
			unit int64
		}{
			{count, &r.Rows, 1},
			{reserved, &r.Total, 1024},
			{data, &r.Data, 1024},
			{index, &r.Index, 1024},
			{unused, &r.Unused, 1024},
		} {
			var err error
			if *part.to, err = parseAmount(part.text, part.unit); err != nil {
				return err
			}
		}
		return nil
	}, object)

	switch number := errorNumber(err); {
	case err == nil, number == 0, ctx.Err() != nil:
		return err
	case number == codeLockTimeout:
		r.Unread = models.UnreadLocked
	default:
		r.Unread = models.UnreadFailed
	}
	return nil
}

// parseAmount parses a number that sp_spaceused returns as text, padded and perhaps with its unit, such as "24 KB", and
// multiplies it by unit. It returns nil for NULL and for an empty number.
func parseAmount(text sql.NullString, unit int64) (*int64, error) {
	number := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text.String), "KB"))
	if !text.Valid || number == "" {
		return nil, nil //nolint:nilnil // nil is an unknown number
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return nil, fmt.Errorf("sp_spaceused says %q: %w", text.String, cmp.Or(err, strconv.ErrRange))
	}
	n *= unit
	return &n, nil
}
