package mysql

import (
	"context"
	"database/sql"
	"regexp"
)

// noteFullText marks the tables whose full-text indexes have no files and are therefore in no figure: they are in the
// shared tablespace of their table, and no statistics count them. Only InnoDB tables without a file can have such ones.
func (s *session) noteFullText(ctx context.Context, schema string, tables map[string]*tableFiles) error {
	anyFileless := false
	for _, t := range tables {
		anyFileless = anyFileless || t.fileless()
	}
	if !anyFileless {
		return nil
	}

	var err error
	if s.version.dictionary() {
		err = s.each(ctx, statements["full_text"], func(rows *sql.Rows) error {
			var inSchema, name string
			if err := rows.Scan(&inSchema, &name); err != nil {
				return err
			}
			if t := tables[name]; t != nil && inSchema == schema {
				t.uncounted = t.fileless()
			}
			return nil
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

// fullTextPart matches the name of a part of a full-text index. Other auxiliary tables, such as that for deleted rows,
// outlive the index.
var fullTextPart = regexp.MustCompile(`^(?i:fts)_[0-9a-f]{16}_[0-9a-f]{16}_(?i:index)_`)

// noteFullTextSys is noteFullText for servers on which only the names of auxiliary tables show which tables have
// full-text indexes.
func (s *session) noteFullTextSys(ctx context.Context, schema string, tables map[string]*tableFiles) error {
	byID := map[int64]*tableFiles{}
	indexed := map[int64]bool{}
	err := s.each(ctx, statements["full_text_sys"], func(rows *sql.Rows) error {
		var id int64
		var file, name sql.RawBytes
		if err := rows.Scan(&id, &file, &name); err != nil {
			return err
		}
		if name == nil {
			_, name = splitFileName(file)
		}

		if t := tables[string(name)]; t != nil {
			byID[id], t.shared = t, true
		} else if fullTextPart.Match(name) {
			indexed[fullTextOwner(string(name))] = true
		}
		return nil
	}, schema)
	if err != nil {
		return err
	}

	for id := range indexed {
		if t := byID[id]; t != nil {
			t.uncounted = t.fileless()
		}
	}
	return nil
}

// fileless reports whether it is an InnoDB table that the list of files has no file of.
func (t *tableFiles) fileless() bool { return t.innodb() && t.files == 0 }
