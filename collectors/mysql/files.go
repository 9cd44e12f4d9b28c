package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"regexp"
	"strconv"
	"strings"

	"whalefall/collectors"
)

// tablespaceFile is one InnoDB tablespace.
type tablespaceFile struct {
	space int64
	// name is the name of the table if decoded is set. Otherwise it is schema/table with a suffix for partitions, in
	// which a "/" or "#p#" may also belong to an identifier.
	name      string
	decoded   bool
	flag      int64
	size      collectors.Number // bytes of the file
	allocated collectors.Number // bytes on disk, less than size for a file with holes
}

// fileIndex holds the tablespaces of an instance.
type fileIndex struct {
	known     bool                        // false without PROCESS
	bySchema  map[string][]tablespaceFile // a file whose name fits several schemas is in each of them
	ambiguous map[string]bool             // names that fit several schemas
	owners    map[int64]int64             // id of an InnoDB table → id of its tablespace; nil until it is needed
}

func newFileIndex() fileIndex {
	return fileIndex{known: true, bySchema: map[string][]tablespaceFile{}, ambiguous: map[string]bool{}}
}

// fullCRC32 is set in MariaDB's newer layout of the flags, and never in its older one or in MySQL's.
const fullCRC32 = 1 << 4

// pageCompressed reports whether the file is page-compressed, which leaves holes in it. Only MariaDB has that flag.
func (f tablespaceFile) pageCompressed() bool {
	if f.flag&fullCRC32 != 0 {
		return f.flag>>5&7 != 0
	}
	return f.flag>>16&1 != 0
}

// zipPageBytes returns the bytes of a page of ROW_FORMAT=COMPRESSED, 0 for other formats.
func (f tablespaceFile) zipPageBytes() int64 {
	if f.flag&fullCRC32 != 0 || f.flag>>1&15 == 0 {
		return 0
	}
	return 512 << (f.flag >> 1 & 15)
}

// files reads the tablespaces of the schema, or of the whole instance if schema is empty. The server goes through all
// of them in either case, but sends less for one schema. The index is not known without PROCESS, or if the version
// has no list of tablespaces.
func (s *session) files(ctx context.Context, schemas map[string]bool, schema string) (fileIndex, error) {
	text, arg := statements["files_encoded"], any(schema)
	switch {
	case s.version.dictionary():
		text, arg = statements["files"], likeEscaper.Replace(schema)
	case schema == "":
		arg = nil
	}

	out := newFileIndex()
	var owner []string
	err := s.list(ctx, text, func(rows *sql.Rows) error {
		var f tablespaceFile
		var name, inSchema, table sql.RawBytes
		err := rows.Scan(&f.space, &name, &inSchema, &table, &f.flag, &f.size, &f.allocated)
		if err != nil {
			return err
		}

		f.decoded = table != nil || !s.version.dictionary()
		switch {
		case !f.decoded:
			f.name = string(name)
			out.add(f, f.schemas(schemas))
			return nil
		case table == nil:
			inSchema, table = splitFileName(name)
		}
		f.name = string(table)
		if len(owner) != 1 || owner[0] != string(inSchema) { // most files are in the schema of the previous one
			owner = []string{string(inSchema)}
		}
		out.add(f, owner)
		return nil
	}, arg)

	switch errorNumber(err) {
	case codePrivilegeMissing, codeUnknownTable, codeUnknownColumn, codeUnknownCharset:
		return fileIndex{}, nil
	}
	return out, err
}

// splitFileName returns the schema and the table of a file name without an '@', which needs no decoding.
func splitFileName(name []byte) (schema, table []byte) {
	schema, table, _ = bytes.Cut(name, []byte("/"))
	table, _, _ = bytes.Cut(table, []byte("#"))
	return schema, table
}

// likeEscaper turns a name into a LIKE pattern that matches only this name.
var likeEscaper = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)

// add files a tablespace under the schemas it can belong to.
func (fs *fileIndex) add(f tablespaceFile, schemas []string) {
	for _, schema := range schemas {
		fs.bySchema[schema] = append(fs.bySchema[schema], f)
	}
	if len(schemas) > 1 {
		fs.ambiguous[f.name] = true
	}
}

// schemas returns the known schemas the file can belong to, or the text before the first "/" if there are none.
func (f tablespaceFile) schemas(known map[string]bool) (out []string) {
	for i, c := range []byte(f.name) {
		if c == '/' && known[f.name[:i]] {
			out = append(out, f.name[:i])
		}
	}
	if out == nil {
		first, _, _ := strings.Cut(f.name, "/")
		return []string{first}
	}
	return out
}

// within returns the file's name without the schema. If the name is not decoded, it may end with a partition.
func (f tablespaceFile) within(schema string) string {
	if f.decoded {
		return f.name
	}
	return strings.TrimPrefix(f.name, schema+"/")
}

// attribute adds each file of the schema to its table and returns the names of tables that have a file but are not
// listed. Full-text files are named after the id of their table; ids maps it to the id of the table's tablespace.
func (fs fileIndex) attribute(
	schema string, tables map[string]*tableFiles, ids func() (map[int64]int64, error),
) (hidden map[string]bool, err error) {
	hidden = map[string]bool{}
	var fullText []tablespaceFile
	for _, f := range fs.bySchema[schema] {
		name := f.within(schema)
		switch owner := f.owner(name, tables); {
		case owner != nil:
			owner.add(f)
		case fullTextFile.MatchString(name):
			fullText = append(fullText, f)
		case name == "" || strings.HasPrefix(name, "#") || fs.ambiguous[f.name]:
			// a temporary file of an ALTER TABLE, or a file that may be another schema's
		default:
			hidden[withoutPartition(name)] = true
		}
	}
	if len(fullText) > 0 {
		err = fs.attributeFullText(schema, tables, fullText, ids)
	}
	return hidden, err
}

func (fs fileIndex) attributeFullText(
	schema string, tables map[string]*tableFiles, fullText []tablespaceFile, ids func() (map[int64]int64, error),
) error {
	bySpace := map[int64]*tableFiles{}
	for _, f := range fs.bySchema[schema] {
		bySpace[f.space] = f.owner(f.within(schema), tables)
	}

	spaces, err := ids()
	if err != nil {
		return err
	}
	for _, f := range fullText {
		if owner := bySpace[spaces[fullTextOwner(f.within(schema))]]; owner != nil {
			owner.fullText = owner.fullText.Plus(f.size)
		}
	}
	return nil
}

// owner returns the table the file belongs to, nil if it is not listed. A table that is itself named "t#p#p0" takes
// precedence over the partition p0 of t.
func (f tablespaceFile) owner(name string, tables map[string]*tableFiles) *tableFiles {
	if f.decoded {
		return tables[name]
	}
	return partitionOwner(name, tables)
}

// partitionOwner returns the table with the name, or the one with a partition of that name, or nil.
func partitionOwner(name string, tables map[string]*tableFiles) *tableFiles {
	if t := tables[name]; t != nil {
		return t
	}
	for i := len(name); ; {
		if i = max(strings.LastIndex(name[:i], "#p#"), strings.LastIndex(name[:i], "#P#")); i < 0 {
			return nil
		}
		if t := tables[name[:i]]; t != nil {
			return t
		}
	}
}

func withoutPartition(name string) string {
	if at := strings.Index(strings.ToLower(name), "#p#"); at > 0 && at < len(name) {
		return name[:at]
	}
	return name
}

var fullTextFile = regexp.MustCompile(`^(?i:fts)_([0-9a-f]{16})_`)

// fullTextOwner returns the id of the table that a full-text file is named after, 0 for other files.
func fullTextOwner(name string) int64 {
	m := fullTextFile.FindStringSubmatch(name)
	if m == nil {
		return 0
	}
	id, err := strconv.ParseInt(m[1], 16, 64)
	if err != nil {
		return 0
	}
	return id
}

// findLateFiles lists the files once more if InnoDB tables have none. A server without a data dictionary lists only
// files of tables that were opened since it started, so measuring a table may have added its file to the list.
func (s *session) findLateFiles(ctx context.Context, seen *view, schema string, tables map[string]*tableFiles) error {
	late := map[string]*tableFiles{}
	for name, t := range tables {
		if t.fileless() && !t.shared {
			late[name] = t
		}
	}
	if len(late) == 0 || s.version.dictionary() {
		return nil
	}

	files, err := s.files(ctx, seen.schemas, schema)
	if err != nil {
		return err
	}
	_, err = files.attribute(schema, late, s.tableIDs(ctx, &files))
	return err
}

// tableIDs returns a function that maps the id of each InnoDB table to the id of its tablespace. The function queries
// the server once per index, since that is slow on MySQL 8.
func (s *session) tableIDs(ctx context.Context, files *fileIndex) func() (map[int64]int64, error) {
	return func() (map[int64]int64, error) {
		if files.owners != nil {
			return files.owners, nil
		}
		text := statements["table_ids_sys"]
		if s.version.dictionary() {
			text = statements["table_ids"]
		}

		files.owners = map[int64]int64{}
		err := s.each(ctx, text, func(rows *sql.Rows) error {
			var table, space int64
			if err := rows.Scan(&table, &space); err != nil {
				return err
			}
			files.owners[table] = space
			return nil
		})
		return files.owners, err
	}
}
