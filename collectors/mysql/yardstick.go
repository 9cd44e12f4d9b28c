package mysql

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"whalefall/collectors"
	"whalefall/models"
)

// yardstickTable is a table whose files are looked up by their names or ids. A collection goes the other way and
// looks up the table of each file.
type yardstickTable struct {
	names      []string // of possible tablespaces: each partition in the spellings of all versions
	ids        []int64  // of the table and its partitions
	spaces     []int64  // ids of its tablespaces
	compressed bool
}

// yardstickFile is a tablespace with its sizes in bytes.
type yardstickFile struct {
	space           int64
	size, allocated int64
}

func (f yardstickFile) bytes(compressed bool) int64 {
	if compressed && f.allocated > 0 {
		return f.allocated
	}
	return f.size
}

// Yardstick returns the sum of the tablespaces of each table that has its own. It returns an error without PROCESS.
func (c *Collector) Yardstick(ctx context.Context, t collectors.Target, database string) (models.Yardstick, error) {
	s, err := c.open(ctx, t)
	if err != nil {
		return models.Yardstick{}, err
	}
	defer s.close()

	y := models.Yardstick{
		Means: "FILE_SIZE of INNODB_SYS_TABLESPACES, by the SPACE of INNODB_SYS_TABLES",
		Lacks: "tables without an InnoDB tablespace of their own",
	}
	sums := s.yardsticksBySpace
	if s.version.dictionary() {
		y.Means, sums = "FILE_SIZE of INNODB_TABLESPACES, by the names of PARTITIONS", s.yardsticksByName
	}

	found, err := sums(ctx, database)
	if err != nil {
		return models.Yardstick{}, s.classify(ctx, err)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		total := found[name]
		y.Relations = append(y.Relations, models.YardstickRelation{Schema: database, Name: name, Total: &total})
	}
	return y, nil
}

// yardsticksBySpace finds the tablespaces of each table by the ids in InnoDB's own list of tables.
func (s *session) yardsticksBySpace(ctx context.Context, schema string) (map[string]int64, error) {
	tables, fullText := map[string]*yardstickTable{}, map[int64][]int64{}
	err := s.each(ctx, statements["yardstick_tables_encoded"], func(rows *sql.Rows) error {
		var id, space, flag int64
		var inSchema, name, file string
		if err := rows.Scan(&id, &space, &flag, &inSchema, &name, &file); err != nil {
			return err
		}
		if inSchema != schema || name == "" {
			return nil
		}

		if owner := fullTextOwner(file); owner != 0 {
			fullText[owner] = append(fullText[owner], space)
			return nil
		}
		if tables[name] == nil {
			tables[name] = &yardstickTable{compressed: flag>>7&1 != 0}
		}
		tables[name].ids, tables[name].spaces = append(tables[name].ids, id), append(tables[name].spaces, space)
		return nil
	})
	if err != nil {
		return nil, err
	}

	files := map[int64]yardstickFile{}
	err = s.each(ctx, statements["yardstick_files_encoded"], func(rows *sql.Rows) error {
		var f yardstickFile
		if err := rows.Scan(&f.space, &f.size, &f.allocated); err != nil {
			return err
		}
		files[f.space] = f
		return nil
	})
	return sumYardsticks(tables, fullText, files), err
}

// yardsticksByName finds the tablespaces of each table by the names that those of its partitions must have.
func (s *session) yardsticksByName(ctx context.Context, schema string) (map[string]int64, error) {
	tables, err := s.yardstickTables(ctx, schema)
	if err != nil {
		return nil, err
	}

	files, spaces := map[int64]yardstickFile{}, map[string]int64{}
	err = s.each(ctx, statements["yardstick_files"], func(rows *sql.Rows) error {
		var f yardstickFile
		var name string
		if err := rows.Scan(&f.space, &name, &f.size, &f.allocated); err != nil {
			return err
		}
		files[f.space], spaces[name] = f, f.space
		return nil
	})
	if err != nil {
		return nil, err
	}

	owners := map[int64]*yardstickTable{}
	for _, t := range tables {
		for _, name := range t.names {
			if space, ok := spaces[name]; ok {
				t.spaces, owners[space] = append(t.spaces, space), t
			}
		}
	}
	err = s.each(ctx, statements["table_ids"], func(rows *sql.Rows) error {
		var id, space int64
		if err := rows.Scan(&id, &space); err != nil {
			return err
		}
		if t := owners[space]; t != nil {
			t.ids = append(t.ids, id)
		}
		return nil
	})

	fullText := map[int64][]int64{}
	for name, space := range spaces {
		if owner := fullTextOwner(strings.TrimPrefix(name, schema+"/")); owner != 0 {
			fullText[owner] = append(fullText[owner], space)
		}
	}
	return sumYardsticks(tables, fullText, files), err
}

// yardstickTables returns the tables of a schema with the names their tablespaces may have.
func (s *session) yardstickTables(ctx context.Context, schema string) (map[string]*yardstickTable, error) {
	tables := map[string]*yardstickTable{}
	err := s.each(ctx, statements["yardstick_tables"], func(rows *sql.Rows) error {
		var inSchema, name string
		var partition, sub, options sql.NullString
		if err := rows.Scan(&inSchema, &name, &partition, &sub, &options); err != nil {
			return err
		}
		if inSchema != schema {
			return nil
		}

		if tables[name] == nil {
			tables[name] = &yardstickTable{compressed: compressedOption.MatchString(options.String)}
		}
		tables[name].names = append(tables[name].names, tablespaceNames(schema, name, partition, sub)...)
		return nil
	}, schema)
	return tables, err
}

// tablespaceNames returns the names that the tablespace of a table or partition has in any version. Newer versions
// write what follows the table's name in lower case.
func tablespaceNames(schema, table string, partition, sub sql.NullString) []string {
	whole := schema + "/" + table
	if !partition.Valid {
		return []string{whole}
	}
	suffix := "#P#" + partition.String
	if sub.Valid {
		suffix += "#SP#" + sub.String
	}
	return []string{whole + suffix, whole + strings.ToLower(suffix)}
}

// sumYardsticks returns the bytes of each table with files, including those of its full-text indexes, whose
// tablespaces fullText maps to the id of the table.
func sumYardsticks(
	tables map[string]*yardstickTable, fullText map[int64][]int64, files map[int64]yardstickFile,
) map[string]int64 {
	sums := map[string]int64{}
	for name, t := range tables {
		for _, space := range t.spaces {
			if f, ok := files[space]; ok {
				sums[name] += f.bytes(t.compressed)
			}
		}
		if _, measured := sums[name]; !measured {
			continue
		}
		for _, id := range t.ids {
			for _, space := range fullText[id] {
				sums[name] += files[space].size
			}
		}
	}
	return sums
}
