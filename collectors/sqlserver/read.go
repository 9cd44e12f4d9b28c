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

// Versions that more than one place knows, by the first number of theirs.
const (
	release2014 = 12
	release2016 = 13
	release2022 = 16
)

// reader reads the catalog of one database.
type reader struct {
	each   func(ctx context.Context, text string, scan func(*sql.Rows) error) error
	server serverInfo
}

// tables measures the relations of the database. A table that is dropped meanwhile looks hidden, so what is hidden is
// read twice.
func (r reader) tables(ctx context.Context) (result models.TableResult, stateless bool, err error) {
	catalog, stateless, err := r.catalog(ctx)
	if err != nil {
		return result, stateless, err
	}
	before := catalog.hidden()
	if len(before) > 0 {
		if catalog, stateless, err = r.catalog(ctx); err != nil {
			return result, stateless, err
		}
	}
	result = catalog.result()
	collectors.Expected(ctx, len(result.Tables))
	collectors.Counted(ctx, len(result.Tables))
	hidden := catalog.hidden()
	maps.DeleteFunc(hidden, func(id int64, _ bool) bool { return !before[id] })
	result.Hidden = int64(len(hidden))
	if result.Complete = result.Hidden == 0; result.Complete {
		result.Proof = models.ProofMetadata
	}
	return result, stateless, nil
}

// catalog reads what sizes are told about; stateless says that the account may not read the statistics of partitions.
func (r reader) catalog(ctx context.Context) (c systemCatalog, stateless bool, err error) {
	for _, read := range []func(context.Context, *systemCatalog) error{
		r.partitions, r.objects, r.specials, r.internals, r.schemas,
	} {
		if err := read(ctx, &c); err != nil {
			return c, false, err
		}
	}
	err = r.pages(ctx, &c)
	if stateless = isDenied(err); err != nil && !stateless {
		return c, false, err
	}
	if missing := c.unstated(); len(missing) > 0 {
		if err := r.units(ctx, &c, missing); err != nil {
			return c, stateless, err
		}
	}
	if c.hasMemory() && !stateless {
		if err := r.memory(ctx, &c); err != nil && !isDenied(err) {
			return c, false, err
		}
	}
	return c, stateless, nil
}

func (c systemCatalog) hasMemory() bool {
	for _, s := range c.specials {
		if s.memoryOptimized {
			return true
		}
	}
	return false
}

func (r reader) partitions(ctx context.Context, c *systemCatalog) error {
	return r.each(ctx, statements["partitions"], func(rows *sql.Rows) error {
		var p partition
		err := rows.Scan(&p.id, &p.hobt, &p.object, &p.index, &p.rows)
		c.partitions = append(c.partitions, p)
		return err
	})
}

func (r reader) objects(ctx context.Context, c *systemCatalog) error {
	return r.each(ctx, statements["objects"], func(rows *sql.Rows) error {
		var o object
		err := rows.Scan(&o.id, &o.schema, &o.name, &o.kind, &o.shipped)
		o.kind = strings.TrimRight(o.kind, " ")
		c.objects = append(c.objects, o)
		return err
	})
}

// uncounted are the objects that the pages of tables and indexed views are told of.
func (c systemCatalog) uncounted() map[int64]bool {
	objects := make(map[int64]bool, len(c.objects))
	for _, o := range c.objects {
		if o.kind == "U" || o.kind == "V" {
			objects[o.id] = true
		}
	}
	return objects
}

// specials are read with the columns that the version has; 2012 has none of them.
func (r reader) specials(ctx context.Context, c *systemCatalog) error {
	text := statements["tables"]
	switch {
	case !r.server.since(release2014):
		return nil
	case !r.server.since(release2016):
		text = statements["tables_2014"]
	}
	return r.each(ctx, text, func(rows *sql.Rows) error {
		var s special
		o := &s.object
		err := rows.Scan(&o.id, &o.schema, &o.name, &o.shipped, &s.history, &s.historyTable, &s.memoryOptimized, &s.external)
		c.specials = append(c.specials, s)
		return err
	})
}

func (r reader) internals(ctx context.Context, c *systemCatalog) error {
	return r.each(ctx, statements["internal_tables"], func(rows *sql.Rows) error {
		var i internal
		var parent, kind sql.NullInt64 // the reference page lists neither all types nor all parents
		err := rows.Scan(&i.id, &parent, &kind)
		i.parent, i.kind = parent.Int64, kind.Int64
		c.internals = append(c.internals, i)
		return err
	})
}

func (r reader) schemas(ctx context.Context, c *systemCatalog) error {
	c.schemas = map[int64]string{}
	return r.each(ctx, statements["schemas"], func(rows *sql.Rows) error {
		var id int64
		var name string
		err := rows.Scan(&id, &name)
		c.schemas[id] = name
		return err
	})
}

func (r reader) pages(ctx context.Context, c *systemCatalog) error {
	uncounted, measured := c.uncounted(), collectors.Tally(0)
	collectors.Expected(ctx, len(uncounted))
	return r.each(ctx, statements["pages"], func(rows *sql.Rows) error {
		var p pageCounts
		var leaf, lob, overflow int64
		err := rows.Scan(&p.object, &p.index, &leaf, &lob, &overflow, &p.used, &p.reserved, &p.rows)
		p.data = leaf + lob + overflow
		c.pages = append(c.pages, p)
		if uncounted[p.object] {
			delete(uncounted, p.object)
			measured.Add(ctx)
		}
		return err
	})
}

// units reads the pages of the objects from the catalog itself. An object that has none there, either, was perhaps
// dropped.
func (r reader) units(ctx context.Context, c *systemCatalog, objects map[int64]bool) error {
	var units []unit
	err := r.each(ctx, statements["units"], func(rows *sql.Rows) error {
		var u unit
		err := rows.Scan(&u.kind, &u.container, &u.data, &u.used, &u.reserved)
		units = append(units, u)
		return err
	})
	if err != nil {
		return err
	}
	empty := c.uncounted()
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
	return r.forgetDropped(ctx, c, empty)
}

// forgetDropped leaves out those of the objects that are no longer there. Their partitions make them look hidden.
func (r reader) forgetDropped(ctx context.Context, c *systemCatalog, objects map[int64]bool) error {
	var now systemCatalog
	if err := r.objects(ctx, &now); err != nil {
		return err
	}
	there := now.uncounted()
	c.objects = slices.DeleteFunc(c.objects, func(o object) bool { return objects[o.id] && !there[o.id] })
	return nil
}

// memory reads how much RAM memory-optimised tables use.
func (r reader) memory(ctx context.Context, c *systemCatalog) error {
	c.memory = map[int64]int64{}
	return r.each(ctx, statements["memory"], func(rows *sql.Rows) error {
		var object, table, index *int64 // the engine's own tables have no object
		err := rows.Scan(&object, &table, &index)
		if kilobytes := collectors.AddKnown(table, index); object != nil && kilobytes != nil {
			c.memory[*object] += *kilobytes * 1024
		}
		return err
	})
}
