package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"regexp"
	"strconv"
	"strings"
)

// tablespaceFile is one InnoDB tablespace.
type tablespaceFile struct {
	space int64
	// name is the table's, or where the server shows names as they are that of the file: a "/" or "#p#" in it may belong
	// to an identifier.
	name      string
	decoded   bool // name is the table's
	flag      int64
	size      int64 // bytes of the file
	allocated int64 // bytes on disk, less than size for a file with holes
}

// fileIndex are the tablespaces of an instance.
type fileIndex struct {
	known    bool                        // false without PROCESS
	bySchema map[string][]tablespaceFile // a file whose name fits several schemas is in each of them
	shared   map[string]bool             // names that fit several schemas
	owners   map[int64]int64             // id of an InnoDB table → id of its tablespace; nil until it is needed
}

func newFileIndex() fileIndex {
	return fileIndex{known: true, bySchema: map[string][]tablespaceFile{}, shared: map[string]bool{}}
}

// fullCRC32 marks MariaDB's newer layout of the flags. In the older one, and in MySQL's, the bit is always clear.
const fullCRC32 = 1 << 4

// pageCompressed reports whether MariaDB punches holes into the file.
func (f tablespaceFile) pageCompressed() bool {
	if f.flag&fullCRC32 != 0 {
		return f.flag>>5&7 != 0
	}
	return f.flag>>16&1 != 0
}

// zipPageBytes is the size of a page of ROW_FORMAT=COMPRESSED, 0 for any other.
func (f tablespaceFile) zipPageBytes() int64 {
	if f.flag&fullCRC32 != 0 || f.flag>>1&15 == 0 {
		return 0
	}
	return 512 << (f.flag >> 1 & 15)
}

// files reads the tablespaces of the schema, or with none of the whole instance: the server goes through all of them in
// either case, but then it has less to send. An account without PROCESS may not, and some versions cannot.
func (s *session) files(ctx context.Context, schemas map[string]bool, schema string) (fileIndex, error) {
	out := newFileIndex()
	var owner []string
	text, which := statements["files_encoded"], any(schema)
	switch {
	case s.version.dictionary():
		text, which = statements["files"], likeEscaper.Replace(schema)
	case schema == "":
		which = nil
	}
	err := s.each(ctx, text, func(rows *sql.Rows) error {
		var f tablespaceFile
		var name, inSchema, table sql.RawBytes
		err := rows.Scan(&f.space, &name, &inSchema, &table, &f.flag, &f.size, &f.allocated)
		switch f.decoded = table != nil || !s.version.dictionary(); {
		case !f.decoded:
			f.name = string(name)
			out.add(f, f.schemas(schemas))
			return err
		case table == nil:
			inSchema, table = splitFileName(name)
		}
		f.name = string(table)
		if len(owner) != 1 || owner[0] != string(inSchema) { // most are of the same one as the last
			owner = []string{string(inSchema)}
		}
		out.add(f, owner)
		return err
	}, which)
	switch errorNumber(err) {
	case codePrivilegeMissing, codeUnknownTable, codeUnknownColumn, codeUnknownCharset:
		return fileIndex{}, nil
	}
	return out, err
}

// splitFileName is the schema and the table in a name without an '@', of which nothing has to be decoded.
func splitFileName(name []byte) (schema, table []byte) {
	schema, table, _ = bytes.Cut(name, []byte("/"))
	table, _, _ = bytes.Cut(table, []byte("#"))
	return schema, table
}

// likeEscaper has a name stand for itself in a pattern of LIKE.
var likeEscaper = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)

// add sorts a tablespace by the schemas it can belong to.
func (fs *fileIndex) add(f tablespaceFile, schemas []string) {
	for _, schema := range schemas {
		fs.bySchema[schema] = append(fs.bySchema[schema], f)
	}
	if len(schemas) > 1 {
		fs.shared[f.name] = true
	}
}

// schemas are the known schemas the file can belong to, or where there is none the text before the first "/".
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

// within is the file's name inside the schema, its partition included where the server does not tell it apart.
func (f tablespaceFile) within(schema string) string {
	if f.decoded {
		return f.name
	}
	return strings.TrimPrefix(f.name, schema+"/")
}

// attribute gives each file of the schema to its table and returns the names of tables that own a file but are not
// listed. Full-text files of tables are named after the table's id; ids maps it to the tablespace of the table.
func (fs fileIndex) attribute(schema string, tables map[string]*tableFiles, ids func() (map[int64]int64, error)) (hidden map[string]bool, err error) {
	hidden = map[string]bool{}
	var fullText []tablespaceFile
	for _, f := range fs.bySchema[schema] {
		name := f.within(schema)
		switch owner := f.owner(name, tables); {
		case owner != nil:
			owner.add(f)
		case fullTextFile.MatchString(name):
			fullText = append(fullText, f)
		case name == "" || strings.HasPrefix(name, "#") || fs.shared[f.name]:
			// a temporary file of an ALTER, or perhaps another schema's
		default:
			hidden[withoutPartition(name)] = true
		}
	}
	if len(fullText) > 0 {
		err = fs.attributeFullText(schema, tables, fullText, ids)
	}
	return hidden, err
}

func (fs fileIndex) attributeFullText(schema string, tables map[string]*tableFiles, fullText []tablespaceFile,
	ids func() (map[int64]int64, error),
) error {
	bySpace := map[int64]*tableFiles{}
	for _, f := range fs.bySchema[schema] {
		bySpace[f.space] = f.owner(f.within(schema), tables)
	}
	spaces, err := ids()
	for _, f := range fullText {
		if owner := bySpace[spaces[fullTextOwner(f.within(schema))]]; owner != nil {
			owner.fullText += f.size
		}
	}
	return err
}

// owner is the table the file belongs to, nil when it is not listed. Of "t#p#p0" a table of that very name comes first.
func (f tablespaceFile) owner(name string, tables map[string]*tableFiles) *tableFiles {
	if f.decoded {
		return tables[name]
	}
	return partitionOwner(name, tables)
}

// partitionOwner finds a table by its own name or by that of one of its partitions.
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

// fullTextOwner is the id in the name of a full-text file; 0 is no table's.
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

// findLateFiles looks again for the files of tables that had none and should. A server without a data dictionary
// lists those of tables that were opened since it started, so measuring a table may have brought its file into the
// list.
func (s *session) findLateFiles(ctx context.Context, seen *view, schema string, tables map[string]*tableFiles) error {
	late := map[string]*tableFiles{}
	for name, t := range tables {
		if t.fileless() && !t.shared {
			late[name] = t
		}
	}
	if len(late) == 0 || len(late) > openLimit || s.version.dictionary() {
		return nil
	}
	files, err := s.files(ctx, seen.schemas, schema)
	if err == nil {
		_, err = files.attribute(schema, late, s.tableIDs(ctx, &files))
	}
	return err
}

// tableIDs reads which tablespace each InnoDB table is in, once a collection: on MySQL 8 it is slow.
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
		return files.owners, s.each(ctx, text, func(rows *sql.Rows) error {
			var table, space int64
			err := rows.Scan(&table, &space)
			files.owners[table] = space
			return err
		})
	}
}
