package postgresql

import (
	"context"
	"database/sql"

	"whalefall/collectors"
	"whalefall/models"
)

// Yardstick returns the size of each relation, and of each partition tree, by the server's size functions.
func (c *Collector) Yardstick(ctx context.Context, t collectors.Target, database string) (models.Yardstick, error) {
	y := models.Yardstick{Means: "pg_total_relation_size, pg_table_size, pg_indexes_size", Whole: true}
	for last, full := int64(0), true; full; {
		page, end, err := c.yardstickPage(ctx, t, database, last)
		if err != nil {
			return models.Yardstick{}, c.classify(ctx, t, database, err)
		}
		y.Relations = append(y.Relations, page...)
		last, full = end, len(page) == c.batch
	}
	return y, nil
}

// yardstickPage returns the relations whose oids are greater than after, read over a connection of its own like every
// batch of a collection, and the last oid.
func (c *Collector) yardstickPage(
	ctx context.Context, t collectors.Target, database string, after int64,
) (page []models.YardstickRelation, last int64, err error) {
	s, err := c.open(ctx, t, database)
	if err != nil {
		return nil, 0, err
	}
	defer s.close()
	err = s.each(ctx, statements["yardstick"], func(rows *sql.Rows) error {
		var r models.YardstickRelation
		if err := rows.Scan(&last, &r.Schema, &r.Name, &r.Total, &r.Data, &r.Index); err != nil {
			return err
		}

		r.Schema, r.Name = collectors.ValidName(s.name(r.Schema)), collectors.ValidName(s.name(r.Name))
		if r.Total == nil {
			r.Unread = models.UnreadLocked
		}
		page = append(page, r)
		return nil
	}, after, c.batch)
	return page, last, err
}
