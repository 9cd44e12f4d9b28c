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

// yardstickTable is a table as its files are looked up one by one: a collection goes from files to tables, this from
// tables to their files.
type yardstickTable struct {
	names      []string // of tablespaces it may have: each partition in the spellings of several versions
	ids        []int64  // of itself and its partitions
	spaces     []int64  // of its tablespaces
	compressed bool
}

// yardstickFile is the size of a tablespace; bytes.
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

// Yardstick sums the tablespaces of each table that has some of its own. Without PROCESS it is an error.
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
		return models.Yardstick{}, s.failed(ctx, err)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		total := found[name]
		y.Relations = append(y.Relations, models.YardstickRelation{Schema: database, Name: name, Total: &total})
	}
	return y, nil
}

// yardsticksBySpace goes from the tables InnoDB knows by the ids of their tablespaces.
func (s *session) yardsticksBySpace(ctx context.Context, schema string) (map[string]int64, error) {
	tables, fullText := map[string]*yardstickTable{}, map[int64][]int64{}
	err := s.each(ctx, statements["yardstick_tables_encoded"], func(rows *sql.Rows) error {
		var id, space, flag int64
		var inSchema, name, file string
		if err := rows.Scan(&id, &space, &flag, &inSchema, &name, &file); err != nil || inSchema != schema || name == "" {
			return err
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
		err := rows.Scan(&f.space, &f.size, &f.allocated)
		files[f.space] = f
		return err
	})
	return sumYards(tables, fullText, files), err
}

// yardsticksByName goes from the partitions of each table by the names their tablespaces must have.
func (s *session) yardsticksByName(ctx context.Context, schema string) (map[string]int64, error) {
	tables, err := s.namedYards(ctx, schema)
	if err != nil {
		return nil, err
	}
	files, spaces := map[int64]yardstickFile{}, map[string]int64{}
	err = s.each(ctx, statements["yardstick_files"], func(rows *sql.Rows) error {
		var f yardstickFile
		var name string
		err := rows.Scan(&f.space, &name, &f.size, &f.allocated)
		files[f.space], spaces[name] = f, f.space
		return err
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
		err := rows.Scan(&id, &space)
		if t := owners[space]; t != nil {
			t.ids = append(t.ids, id)
		}
		return err
	})
	fullText := map[int64][]int64{}
	for name, space := range spaces {
		if owner := fullTextOwner(strings.TrimPrefix(name, schema+"/")); owner != 0 {
			fullText[owner] = append(fullText[owner], space)
		}
	}
	return sumYards(tables, fullText, files), err
}

func (s *session) namedYards(ctx context.Context, schema string) (map[string]*yardstickTable, error) {
	tables := map[string]*yardstickTable{}
	return tables, s.each(ctx, statements["yardstick_tables"], func(rows *sql.Rows) error {
		var inSchema, name string
		var partition, sub, options sql.NullString
		if err := rows.Scan(&inSchema, &name, &partition, &sub, &options); err != nil || inSchema != schema {
			return err
		}
		if tables[name] == nil {
			tables[name] = &yardstickTable{compressed: compressedOption.MatchString(options.String)}
		}
		tables[name].names = append(tables[name].names, tablespaceNames(schema, name, partition, sub)...)
		return nil
	}, schema)
}

// tablespaceNames are the names versions give a table's or partition's tablespace; newer ones use small letters
// behind the table's name.
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

// sumYards adds up the files of each table that has some, those of its full-text indexes by its id. A table without a
// file has no yardstick.
func sumYards(tables map[string]*yardstickTable, fullText map[int64][]int64, files map[int64]yardstickFile) map[string]int64 {
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
