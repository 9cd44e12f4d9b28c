package mysql

import (
	"context"
	"database/sql"
	"regexp"
)

// noteFullText marks the tables whose full-text indexes have no files: they are where the table is, in a tablespace
// that tables share, and no statistics count them. Only a table of InnoDB without a file can be one.
func (s *session) noteFullText(ctx context.Context, schema string, tables map[string]*tableFiles) error {
	apart := false
	for _, t := range tables {
		apart = apart || t.fileless()
	}
	if !apart {
		return nil
	}
	var err error
	if s.version.dictionary() {
		err = s.each(ctx, statements["full_text"], func(rows *sql.Rows) error {
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
	switch errorNumber(err) {
	case codePrivilegeMissing, codeUnknownTable, codeUnknownColumn, codeUnknownCharset:
		return nil
	}
	return err
}

// fullTextPart is a part of an index. Others, as for deleted rows, outlive it.
var fullTextPart = regexp.MustCompile(`^(?i:fts)_[0-9a-f]{16}_[0-9a-f]{16}_(?i:index)_`)

// noteFullTextSys does it where only the names of their parts tell which tables have full-text indexes.
func (s *session) noteFullTextSys(ctx context.Context, schema string, tables map[string]*tableFiles) error {
	byID := map[int64]*tableFiles{}
	indexed := map[int64]bool{}
	err := s.each(ctx, statements["full_text_sys"], func(rows *sql.Rows) error {
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
func (t *tableFiles) fileless() bool { return t.innodb() && t.files == 0 }
