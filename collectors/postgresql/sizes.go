package postgresql

import (
	"context"
	"database/sql"
	"slices"

	"whalefall/collectors"
	"whalefall/models"
)

const (
	// waits is how many locks that came after we looked for them one collection waits for.
	waits = 5
	// stuck is how many statements may pass their deadline without a single size before the collection fails.
	stuck = 3
	// tellLocks is after how many relations the progress is told.
	tellLocks = 250
)

// sizing is one collection of the sizes in one database. It has one connection at a time.
type sizing struct {
	collector *Collector
	target    collectors.Target
	database  string
	server    serverInfo

	session     *session
	looked      int // relations that the connection's server process has looked at
	sizes       map[int64]relationSize
	locked      []target // to be asked for once more
	waits       int      // that ended with nothing
	stuck       int      // statements that ended with nothing
	serverBytes *int64   // memory of the server process of the first connection, at its end
}

func (z *sizing) run(ctx context.Context) (catalog relationCatalog, err error) {
	if z.session, err = z.collector.open(ctx, z.target, z.database); err != nil {
		return relationCatalog{}, err
	}
	defer func() { z.session.close() }()
	if catalog, err = z.session.catalog(ctx); err != nil {
		return relationCatalog{}, err
	}
	z.server = catalog.server
	wanted := catalog.sizeable()
	collectors.Expected(ctx, len(wanted))
	if wanted, err = z.byFiles(ctx, wanted); err != nil {
		return relationCatalog{}, err
	}
	if err := z.byFunctions(ctx, wanted); err != nil {
		return relationCatalog{}, err
	}
	z.weigh(ctx)
	return catalog, nil
}

// byFunctions asks the server's size functions, in batches, and once more at the end for what was locked.
func (z *sizing) byFunctions(ctx context.Context, wanted []target) error {
	if err := z.batches(ctx, wanted); err != nil {
		return err
	}
	again := z.locked
	z.locked, z.waits = nil, waits-1
	if err := z.batches(ctx, again); err != nil {
		return err
	}
	for _, w := range z.locked {
		z.sizes[w.oid] = relationSize{unread: models.UnreadLocked}
	}
	collectors.Counted(ctx, len(z.sizes))
	return nil
}

// batches sizes the relations over as few connections as may be, as many over each.
func (z *sizing) batches(ctx context.Context, wanted []target) error {
	if len(wanted) == 0 {
		return nil
	}
	connections := (len(wanted)-1)/z.collector.batch + 1
	for batch := range slices.Chunk(wanted, (len(wanted)-1)/connections+1) {
		if err := z.room(ctx, len(batch)); err != nil {
			return err
		}
		if err := z.batch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// room connects anew when so many more relations would be too many for the server process.
func (z *sizing) room(ctx context.Context, relations int) error {
	if z.looked += relations; z.looked <= z.collector.batch {
		return nil
	}
	z.weigh(ctx)
	z.session.close()
	s, err := z.collector.open(ctx, z.target, z.database)
	if err != nil {
		return err
	}
	z.session, z.looked = s, relations
	database, err := s.database(ctx)
	if err == nil && database != z.server.database {
		return collectors.DatabaseGone(z.database, nil) // another one has its name now
	}
	return err
}

// batch sizes the relations. Whatever the server said before a statement failed is kept, and the first relation that it
// said nothing of is the one it failed at.
func (z *sizing) batch(ctx context.Context, batch []target) error {
	for len(batch) > 0 {
		left, err := z.size(ctx, batch)
		switch unread := unreadReason(ctx, err); {
		case err == nil:
			return nil
		case unread == "" || len(left) == 0:
			return err
		case unread == models.UnreadLocked:
			z.waits++
			z.locked = append(z.locked, left[0])
			left = left[1:]
			if z.waits >= waits {
				z.locked = append(z.locked, left...)
				return nil
			}
		case len(left) == len(batch):
			if z.stuck++; z.stuck > stuck {
				return err
			}
			z.sizes[left[0].oid] = relationSize{unread: models.UnreadFailed}
			left = left[1:]
		}
		batch = left
	}
	return nil
}

// size is one statement. It returns what the server did not answer for.
func (z *sizing) size(ctx context.Context, batch []target) (left []target, err error) {
	oids, empty := make([]int64, len(batch)), make([]int64, len(batch))
	for i, w := range batch {
		oids[i], empty[i] = w.oid, w.empty
	}
	answered := 0
	err = z.session.each(ctx, statements["sizes"], func(rows *sql.Rows) error {
		var oid int64
		var free bool
		var size relationSize
		if err := rows.Scan(&oid, &free, &size.data, &size.index, &size.main); err != nil {
			return err
		}
		if free {
			z.sizes[oid] = size
		} else {
			z.locked = append(z.locked, batch[answered])
		}
		if answered++; answered%tellLocks == 0 {
			collectors.Counted(ctx, len(z.sizes))
		}
		return nil
	}, oids, empty)
	return batch[answered:], err
}

// weigh notes, once, the memory of the server process before its connection is closed.
func (z *sizing) weigh(ctx context.Context) {
	if z.serverBytes != nil || !z.server.tellsBytes {
		return
	}
	_ = z.session.each(ctx, statements["memory"], func(rows *sql.Rows) error { return rows.Scan(&z.serverBytes) })
}

// unreadReason is why a statement failed that a part of what it asks for may have failed; "" when that is no part's doing.
func unreadReason(ctx context.Context, err error) models.Unread {
	switch {
	case ctx.Err() != nil:
		return ""
	case sqlState(err) == codeLockNotAvailable:
		return models.UnreadLocked
	case sqlState(err) == codeQueryCanceled:
		return models.UnreadFailed
	}
	return ""
}
