package sqlserver

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"whalefall/collectors"
	"whalefall/models"
)

// Major versions used in more than one place.
const (
	release2014 = 12
	release2016 = 13
	release2022 = 16
)

// reader reads the catalog of one database.
type reader struct {
	each   collectors.Reader
	server serverInfo
	short  bool // some list arrived with fewer rows than the server counts
}

// list runs a statement that lists something and notes if rows are missing.
func (r *reader) list(ctx context.Context, text string, scan func(*sql.Rows) error) error {
	return r.each.ListNoting(ctx, &r.short, text, scan)
}

// tables measures the relations of the database; statsDenied reports whether the account may not read the statistics of
// partitions. A table that is dropped meanwhile looks hidden or has no count. If there are any, the catalog is read
// again: only those that are hidden both times count, and those without a count are left out unless they still exist.
func (r *reader) tables(ctx context.Context) (result models.TableResult, statsDenied bool, err error) {
	catalog, statsDenied, err := r.catalog(ctx)
	if err != nil {
		return result, statsDenied, err
	}
	before, counts := catalog.hidden(), catalog.counts()
	if len(before) > 0 || len(counts.uncounted()) > 0 {
		if catalog, statsDenied, err = r.catalog(ctx); err != nil {
			return result, statsDenied, err
		}
		counts = catalog.counts()
	}
	if uncounted := counts.uncounted(); len(uncounted) > 0 {
		if err := r.removeDropped(ctx, &catalog, uncounted); err != nil {
			return result, statsDenied, err
		}
		counts = catalog.counts()
	}
	result = counts.result()
	collectors.Expected(ctx, len(result.Tables))
	collectors.Counted(ctx, len(result.Tables))
	hidden := catalog.hidden()
	maps.DeleteFunc(hidden, func(id int64, _ bool) bool { return !before[id] })
	result.Hidden = int64(len(hidden))
	if result.Complete = result.Hidden == 0; result.Complete {
		result.Proof = models.ProofMetadata
	}
	if r.short {
		result = collectors.CutShort(result)
	}
	return result, statsDenied, nil
}

// catalog reads everything that sizes are computed from; statsDenied reports whether the account may not read the
// statistics of partitions.
func (r *reader) catalog(ctx context.Context) (c systemCatalog, statsDenied bool, err error) {
	for _, read := range []func(context.Context, *systemCatalog) error{
		r.partitions, r.objects, r.traits, r.internals, r.schemas,
	} {
		if err := read(ctx, &c); err != nil {
			return c, false, err
		}
	}
	err = r.pages(ctx, &c)
	if statsDenied = isDenied(err); err != nil && !statsDenied {
		return c, false, err
	}
	if missing := c.missingStats(); len(missing) > 0 {
		if err := r.units(ctx, &c, missing); err != nil {
			return c, statsDenied, err
		}
	}
	if c.hasMemory() && !statsDenied {
		if err := r.memory(ctx, &c); err != nil && !isDenied(err) {
			return c, false, err
		}
	}
	return c, statsDenied, nil
}

func (c systemCatalog) hasMemory() bool {
	for _, s := range c.traits {
		if s.memoryOptimized {
			return true
		}
	}
	return false
}

func (r *reader) partitions(ctx context.Context, c *systemCatalog) error {
	return r.list(ctx, statements["partitions"], func(rows *sql.Rows) error {
		var p partition
		if err := rows.Scan(&p.id, &p.hobt, &p.object, &p.index, &p.rows); err != nil {
			return err
		}

		c.partitions = append(c.partitions, p)
		return nil
	})
}

func (r *reader) objects(ctx context.Context, c *systemCatalog) error {
	return r.list(ctx, statements["objects"], func(rows *sql.Rows) error {
		var o object
		if err := rows.Scan(&o.id, &o.schema, &o.name, &o.kind, &o.shipped); err != nil {
			return err
		}

		o.kind = strings.TrimRight(o.kind, " ")
		c.objects = append(c.objects, o)
		return nil
	})
}

// measurable returns the ids of the tables and indexed views, which are the objects that are measured.
func (c systemCatalog) measurable() map[int64]bool {
	objects := make(map[int64]bool, len(c.objects))
	for _, o := range c.objects {
		if o.kind == "U" || o.kind == "V" {
			objects[o.id] = true
		}
	}
	return objects
}

// traits reads the traits of tables that the version knows; 2012 knows none.
func (r *reader) traits(ctx context.Context, c *systemCatalog) error {
	text := statements["tables"]
	switch {
	case !r.server.since(release2014):
		return nil
	case !r.server.since(release2016):
		text = statements["tables_2014"]
	}
	return r.list(ctx, text, func(rows *sql.Rows) error {
		var s tableTraits
		o := &s.object
		err := rows.Scan(&o.id, &o.schema, &o.name, &o.shipped, &s.history, &s.historyTable, &s.memoryOptimized, &s.external)
		if err != nil {
			return err
		}

		c.traits = append(c.traits, s)
		return nil
	})
}

func (r *reader) internals(ctx context.Context, c *systemCatalog) error {
	return r.list(ctx, statements["internal_tables"], func(rows *sql.Rows) error {
		var i internal
		var parent, kind sql.NullInt64 // the documentation does not cover all types and parents
		if err := rows.Scan(&i.id, &parent, &kind); err != nil {
			return err
		}

		i.parent, i.kind = parent.Int64, kind.Int64
		c.internals = append(c.internals, i)
		return nil
	})
}

func (r *reader) schemas(ctx context.Context, c *systemCatalog) error {
	c.schemas = map[int64]string{}
	return r.list(ctx, statements["schemas"], func(rows *sql.Rows) error {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}

		c.schemas[id] = name
		return nil
	})
}

func (r *reader) pages(ctx context.Context, c *systemCatalog) error {
	pending, measured := c.measurable(), collectors.Tally(0)
	collectors.Expected(ctx, len(pending))
	return r.list(ctx, statements["pages"], func(rows *sql.Rows) error {
		var p pageCounts
		var leaf, lob, overflow collectors.Number
		if err := rows.Scan(&p.object, &p.index, &leaf, &lob, &overflow, &p.used, &p.reserved, &p.rows); err != nil {
			return err
		}

		p.data = leaf.Plus(lob).Plus(overflow)
		c.pages = append(c.pages, p)
		if pending[p.object] {
			delete(pending, p.object)
			measured.Add(ctx)
		}
		return nil
	})
}

// units reads the pages of the objects from the allocation units. An object without pages there may have been dropped,
// so whether it still exists is checked.
func (r *reader) units(ctx context.Context, c *systemCatalog, objects map[int64]bool) error {
	var units []unit
	err := r.list(ctx, statements["units"], func(rows *sql.Rows) error {
		var u unit
		if err := rows.Scan(&u.kind, &u.container, &u.data, &u.used, &u.reserved); err != nil {
			return err
		}

		units = append(units, u)
		return nil
	})
	if err != nil {
		return err
	}
	empty := c.measurable()
	maps.DeleteFunc(empty, func(id int64, _ bool) bool { return !objects[id] })
	for _, p := range unitPages(units, c.partitions) {
		if objects[p.object] {
			c.pages = append(c.pages, p)
		}
		if p.reserved > 0 {
			delete(empty, p.object)
		}
	}
	if len(empty) == 0 {
		return nil
	}
	return r.removeDropped(ctx, c, empty)
}

// removeDropped removes those of the objects that no longer exist from the catalog, so that they look hidden and are
// read again.
func (r *reader) removeDropped(ctx context.Context, c *systemCatalog, objects map[int64]bool) error {
	var now systemCatalog
	if err := r.objects(ctx, &now); err != nil {
		return err
	}
	there := now.measurable()
	c.objects = slices.DeleteFunc(c.objects, func(o object) bool { return objects[o.id] && !there[o.id] })
	return nil
}

// memory reads how many bytes of RAM memory-optimized tables use.
func (r *reader) memory(ctx context.Context, c *systemCatalog) error {
	c.memory = map[int64]collectors.Number{}
	return r.list(ctx, statements["memory"], func(rows *sql.Rows) error {
		var object *int64 // NULL for the engine's own tables
		var table, index collectors.Number
		if err := rows.Scan(&object, &table, &index); err != nil {
			return err
		}

		if kilobytes := table.Plus(index); object != nil && kilobytes != collectors.Unknown {
			c.memory[*object] = c.memory[*object].Plus(kilobytes.Times(1024))
		}
		return nil
	})
}
