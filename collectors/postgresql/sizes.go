package postgresql

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"whalefall/collectors"
	"whalefall/models"
)

const (
	// maxLockWaits is how many locks that were taken after we looked for them one collection waits for.
	maxLockWaits = 5
	// maxStuck is how many statements may pass their deadline without returning a size before the collection fails.
	maxStuck = 3
	// progressStep is after how many relations the progress is reported.
	progressStep = 250
)

// sizing is one collection of the sizes in one database. It uses one connection at a time.
type sizing struct {
	collector *Collector
	target    collectors.Target
	database  string
	server    serverInfo
	onServer  string // which server the catalog was read on

	session     *session
	looked      int // relations that the connection's server process has looked at
	sizes       map[int64]relationSize
	locked      []target // to be sized once more
	waits       int      // for locks, that were in vain
	stuck       int      // statements that returned no size
	short       bool     // some list arrived with fewer rows than it has
	serverBytes *int64   // memory of the server process of the first connection, at its end
}

// run sizes everything and returns the catalog that the sizes belong to.
func (z *sizing) run(ctx context.Context) (catalog relationCatalog, err error) {
	if z.session, err = z.collector.open(ctx, z.target, z.database); err != nil {
		return relationCatalog{}, err
	}
	defer func() { z.session.close() }()
	if catalog, err = z.session.catalog(ctx); err != nil {
		return relationCatalog{}, err
	}
	z.server, z.short, z.onServer = catalog.server, z.session.short, z.session.onServer
	wanted := catalog.sizeable()
	collectors.Expected(ctx, len(wanted))
	left, err := z.byFiles(ctx, wanted)
	if err == nil {
		err = z.byFunctions(ctx, left)
	}
	if err == nil || collectors.IsOtherServer(err) {
		z.noteMissing(wanted)
	}
	if err != nil {
		return catalog, err
	}
	z.weigh(ctx)
	return catalog, nil
}

// noteMissing leaves those relations unread that no size arrived for, not even that there is none.
func (z *sizing) noteMissing(wanted []target) {
	for _, w := range wanted {
		if _, arrived := z.sizes[w.oid]; !arrived {
			z.sizes[w.oid], z.short = relationSize{unread: models.UnreadFailed}, true
		}
	}
}

// byFunctions sizes the relations by the server's size functions, in batches, and at the end tries once more those that
// were locked.
func (z *sizing) byFunctions(ctx context.Context, wanted []target) error {
	if err := z.batches(ctx, wanted); err != nil {
		return err
	}
	again := z.locked
	z.locked, z.waits = nil, maxLockWaits-1
	if err := z.batches(ctx, again); err != nil {
		return err
	}
	for _, w := range z.locked {
		z.sizes[w.oid] = relationSize{unread: models.UnreadLocked}
	}
	collectors.Counted(ctx, len(z.sizes))
	return nil
}

// batches sizes the relations in batches of equal length over as few connections as possible.
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

// room reconnects if the server process would look at too many relations with these.
func (z *sizing) room(ctx context.Context, relations int) error {
	if z.looked += relations; z.looked <= z.collector.batch {
		return nil
	}
	z.weigh(ctx)
	z.session.close()
	s, err := z.collector.open(ctx, z.target, z.database)
	switch {
	case err != nil && collectors.IsGone(err):
		return z.confirmGone(ctx, err)
	case err != nil:
		return err
	}
	z.session, z.looked = s, relations
	if s.pooled {
		s.onServer = z.onServer
	} else if s.onServer != z.onServer {
		return collectors.OtherServer()
	}
	database, err := s.database(ctx)
	if err == nil && database != z.server.database {
		return collectors.DatabaseGone(z.database, nil) // another database has its name now
	}
	return err
}

// batch sizes the relations. Sizes that a failing statement returned are kept; the first relation it returned nothing
// for is the one it failed at.
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
			if z.waits >= maxLockWaits {
				z.locked = append(z.locked, left...)
				return nil
			}
		case unreadable(err):
			z.sizes[left[0].oid] = relationSize{unread: models.UnreadFailed}
			left = left[1:]
		case len(left) == len(batch):
			if z.stuck++; z.stuck > maxStuck {
				return err
			}
			z.sizes[left[0].oid] = relationSize{unread: models.UnreadFailed}
			left = left[1:]
		}
		batch = left
	}
	return nil
}

// size runs one statement and returns the relations that the server returned no size for.
func (z *sizing) size(ctx context.Context, batch []target) (left []target, err error) {
	oids, empty := make([]int64, len(batch)), make([]int64, len(batch))
	for i, w := range batch {
		oids[i], empty[i] = w.oid, w.empty
	}
	answered := 0
	err = z.session.each(ctx, statements["sizes"], func(rows *sql.Rows) error {
		var oid int64
		var free bool
		var data, index, main collectors.Number
		if err := rows.Scan(&oid, &free, &data, &index, &main); err != nil {
			return err
		}
		if free {
			z.sizes[oid] = newRelationSize(data, index, main)
		} else {
			z.locked = append(z.locked, batch[answered])
		}
		if answered++; answered%progressStep == 0 {
			collectors.Counted(ctx, len(z.sizes))
		}
		return nil
	}, oids, empty)
	return batch[answered:], err
}

// weigh notes the memory of the first server process before its connection is closed.
func (z *sizing) weigh(ctx context.Context) {
	if z.serverBytes != nil || !z.server.tellsBytes {
		return
	}
	_ = z.session.each(ctx, statements["memory"], func(rows *sql.Rows) error { return rows.Scan(&z.serverBytes) })
}

// unreadReason returns why a relation is unread when its statement failed so; "" when the error is not one relation's.
func unreadReason(ctx context.Context, err error) models.Unread {
	switch {
	case ctx.Err() != nil:
		return ""
	case sqlState(err) == codeLockNotAvailable:
		return models.UnreadLocked
	case sqlState(err) == codeQueryCanceled, unreadable(err):
		return models.UnreadFailed
	}
	return ""
}

// unreadable reports whether the server failed at a file of one relation: a directory without rights, a disk with
// errors. It reports missing rights on a file by the code for those of an account, and tells them apart by where in its
// source it does so.
func unreadable(err error) bool {
	sent, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(sent.Code, classSystem) ||
		sent.Code == codeInsufficientPrivilege && sent.File == sizesSource)
}

// denied reports whether the account lacks a privilege.
func denied(err error) bool { return sqlState(err) == codeInsufficientPrivilege && !unreadable(err) }

const (
	classSystem = "58"       // errors outside of the server, such as of a disk
	sizesSource = "dbsize.c" // the size functions
)
