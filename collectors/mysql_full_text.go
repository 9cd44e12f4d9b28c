package collectors

import (
	"context"
	"database/sql"
	_ "embed"
	"regexp"
)

//go:embed sql/mysql/full_text.sql
var mysqlFullTextSQL string

//go:embed sql/mysql/full_text_sys.sql
var mysqlFullTextSysSQL string

// noteFullText marks the tables whose full-text indexes have no files: they are where the table is, in a tablespace that
// tables share, and no statistics count them. Only a table of InnoDB without a file can be one.
func (s *mysqlSession) noteFullText(ctx context.Context, schema string, tables map[string]*mysqlTable) error {
	apart := false
	for _, t := range tables {
		apart = apart || t.fileless()
	}
	if !apart {
		return nil
	}
	var err error
	if s.version.dictionary() {
		err = s.each(ctx, mysqlFullTextSQL, func(rows *sql.Rows) error {
			var inSchema, name string
			err := rows.Scan(&inSchema, &name)
			if t := tables[name]; t != nil && inSchema == schema {
				t.uncounted = t.fileless()
			}
			return err
		}, schema)
	} else {
		err = s.noteFullTextSys(ctx, schema, tables)
	}
	switch mysqlNumberOf(err) {
	case mysqlPrivilegeMissing, mysqlUnknownTable, mysqlUnknownColumn, mysqlUnknownCharset:
		return nil
	}
	return err
}

// fullTextPart is a part of an index. Others, as for deleted rows, outlive it.
var fullTextPart = regexp.MustCompile(`^(?i:fts)_[0-9a-f]{16}_[0-9a-f]{16}_(?i:index)_`)

// noteFullTextSys does it where only the names of their parts tell which tables have full-text indexes.
func (s *mysqlSession) noteFullTextSys(ctx context.Context, schema string, tables map[string]*mysqlTable) error {
	byID := map[int64]*mysqlTable{}
	indexed := map[int64]bool{}
	err := s.each(ctx, mysqlFullTextSysSQL, func(rows *sql.Rows) error {
		var id int64
		var file, name sql.RawBytes
		err := rows.Scan(&id, &file, &name)
		if name == nil {
			_, name = splitFileName(file)
		}
		if t := tables[string(name)]; t != nil {
			byID[id], t.shared = t, true
		} else if fullTextPart.Match(name) {
			indexed[fullTextOwner(string(name))] = true
		}
		return err
	}, schema)
	for id := range indexed {
		if t := byID[id]; t != nil {
			t.uncounted = t.fileless()
		}
	}
	return err
}

// fileless reports whether InnoDB has the table without a file of its own, as far as the list of files says.
func (t *mysqlTable) fileless() bool { return t.innodb() && t.files == 0 }
