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

// Yardstick asks sp_spaceused about each relation.
func (c *Collector) Yardstick(ctx context.Context, t collectors.Target, database string) (models.Yardstick, error) {
	s, err := c.enter(ctx, t, collectors.ServerName(database), true)
	if err != nil {
		return models.Yardstick{}, err
	}
	defer s.close()
	y := models.Yardstick{Means: "sp_spaceused of each table and indexed view", Lacks: "bytes of external and memory-optimised tables", Whole: true}
	err = s.each(ctx, statements["yardstick"], func(rows *sql.Rows) error {
		var r models.YardstickRelation
		err := rows.Scan(&r.Schema, &r.Name)
		y.Relations = append(y.Relations, r)
		return err
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

// means adds what a collection of the account goes by.
func (s *session) means(ctx context.Context, asked string) (string, error) {
	err := s.each(ctx, statements["pages"], func(*sql.Rows) error { return nil })
	if isDenied(err) {
		return asked + " (ours: sys.allocation_units, as the account may not read sys.dm_db_partition_stats)", nil
	}
	return asked + " (ours: sys.dm_db_partition_stats)", err
}

// spaceUsed asks about one relation. What the server refuses to say about this one is not known.
func (s *session) spaceUsed(ctx context.Context, r *models.YardstickRelation) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	object := quoted(r.Schema) + "." + quoted(r.Name)
	r.Schema, r.Name = collectors.ValidName(r.Schema), collectors.ValidName(r.Name)
	err := collectors.EachRow(ctx, s.conn, statements["yardstick_object"], func(rows *sql.Rows) error {
		var count, reserved, data, index, unused sql.NullString
		err := rows.Scan(new(sql.NullString), &count, &reserved, &data, &index, &unused)
		for _, part := range []struct {
			text sql.NullString
			to   **int64
			unit int64
		}{{count, &r.Rows, 1}, {reserved, &r.Total, 1024}, {data, &r.Data, 1024}, {index, &r.Index, 1024}, {unused, &r.Unused, 1024}} {
			if err == nil {
				*part.to, err = parseAmount(part.text, part.unit)
			}
		}
		return err
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

// parseAmount is a number that the procedure gives as text, padded and with its unit: "24 KB". NULL is nil.
func parseAmount(text sql.NullString, unit int64) (*int64, error) {
	number := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text.String), "KB"))
	if !text.Valid || number == "" {
		return nil, nil //nolint:nilnil // nil is a number that is not known
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return nil, fmt.Errorf("sp_spaceused says %q: %w", text.String, cmp.Or(err, strconv.ErrRange))
	}
	n *= unit
	return &n, nil
}
