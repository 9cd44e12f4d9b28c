package collectors

import (
	"context"
	"database/sql"
	_ "embed"
	"regexp"
	"strconv"
	"strings"
)

//go:embed sql/mysql/files.sql
var mysqlFilesSQL string

//go:embed sql/mysql/files_encoded.sql
var mysqlFilesEncodedSQL string

//go:embed sql/mysql/table_ids.sql
var mysqlTableIDsSQL string

//go:embed sql/mysql/table_ids_sys.sql
var mysqlTableIDsSysSQL string

// mysqlFile is one InnoDB tablespace. Schema and table are nil where the server shows names as they are, so that a "/" or
// "#p#" in one may belong to an identifier.
type mysqlFile struct {
	space         int64
	name          string
	schema, table *string
	flag          int64
	size          int64 // bytes of the file
	allocated     int64 // bytes on disk, less than size for a file with holes
}

// mysqlFiles are the tablespaces of an instance.
type mysqlFiles struct {
	known    bool                   // false without PROCESS
	bySchema map[string][]mysqlFile // a file whose name fits several schemas is in each of them
	shared   map[string]bool        // names that fit several schemas
	owners   map[int64]int64        // id of an InnoDB table → id of its tablespace; nil until it is needed
}

// fullCRC32 marks MariaDB's newer layout of the flags. In the older one, and in MySQL's, the bit is always clear.
const fullCRC32 = 1 << 4

// pageCompressed reports whether MariaDB punches holes into the file.
func (f mysqlFile) pageCompressed() bool {
	if f.flag&fullCRC32 != 0 {
		return f.flag>>5&7 != 0
	}
	return f.flag>>16&1 != 0
}

// zipPageBytes is the size of a page of ROW_FORMAT=COMPRESSED, 0 for any other.
func (f mysqlFile) zipPageBytes() int64 {
	if f.flag&fullCRC32 != 0 || f.flag>>1&15 == 0 {
		return 0
	}
	return 512 << (f.flag >> 1 & 15)
}

// files reads the tablespaces of the whole instance. An account without PROCESS may not, and some versions cannot.
func (s *mysqlSession) files(ctx context.Context, schemas map[string]bool) (mysqlFiles, error) {
	text := mysqlFilesEncodedSQL
	if s.version.dictionary() {
		text = mysqlFilesSQL
	}
	var list []mysqlFile
	err := s.each(ctx, text, func(rows *sql.Rows) error {
		var f mysqlFile
		err := rows.Scan(&f.space, &f.name, &f.schema, &f.table, &f.flag, &f.size, &f.allocated)
		list = append(list, f)
		return err
	})
	switch mysqlNumberOf(err) {
	case mysqlPrivilegeMissing, mysqlUnknownTable, mysqlUnknownColumn, mysqlUnknownCharset:
		return mysqlFiles{}, nil
	}
	if err != nil {
		return mysqlFiles{}, err
	}
	return filesBySchema(list, schemas), nil
}

// filesBySchema sorts tablespaces by the schemas they can belong to. Shared ones, whose names have no "/", belong to none.
func filesBySchema(list []mysqlFile, schemas map[string]bool) mysqlFiles {
	out := mysqlFiles{known: true, bySchema: map[string][]mysqlFile{}, shared: map[string]bool{}}
	for _, f := range list {
		if !strings.Contains(f.name, "/") {
			continue
		}
		owners := f.schemas(schemas)
		for _, schema := range owners {
			out.bySchema[schema] = append(out.bySchema[schema], f)
		}
		if len(owners) > 1 {
			out.shared[f.name] = true
		}
	}
	return out
}

// schemas are the known schemas the file can belong to, or where there is none the text before the first "/".
func (f mysqlFile) schemas(known map[string]bool) (out []string) {
	if f.schema != nil {
		return []string{*f.schema}
	}
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
func (f mysqlFile) within(schema string) string {
	if f.table != nil {
		return *f.table
	}
	return strings.TrimPrefix(f.name, schema+"/")
}

// attribute gives each file of the schema to its table and returns the names of tables that own a file but are not listed.
// Full-text files of tables are named after the table's id; ids maps it to the tablespace of the table.
func (fs mysqlFiles) attribute(schema string, tables map[string]*mysqlTable, ids func() (map[int64]int64, error)) (hidden map[string]bool, err error) {
	hidden = map[string]bool{}
	bySpace := map[int64]*mysqlTable{}
	var fullText []mysqlFile
	for _, f := range fs.bySchema[schema] {
		name := f.within(schema)
		switch owner := f.owner(name, tables); {
		case owner != nil:
			owner.files = append(owner.files, f)
			bySpace[f.space] = owner
		case fullTextFile.MatchString(name):
			fullText = append(fullText, f)
		case name == "" || strings.HasPrefix(name, "#") || fs.shared[f.name]:
			// a temporary file of an ALTER, or perhaps another schema's
		default:
			hidden[withoutPartition(name)] = true
		}
	}
	if len(fullText) == 0 {
		return hidden, nil
	}
	spaces, err := ids()
	for _, f := range fullText {
		if owner := bySpace[spaces[fullTextOwner(f.within(schema))]]; owner != nil {
			owner.fullText += f.size
		}
	}
	return hidden, err
}

// owner is the table the file belongs to, nil when it is not listed. Of "t#p#p0" a table of that very name comes first.
func (f mysqlFile) owner(name string, tables map[string]*mysqlTable) *mysqlTable {
	if f.table != nil {
		return tables[name]
	}
	return partitionOwner(name, tables)
}

// partitionOwner finds a table by its own name or by that of one of its partitions.
func partitionOwner(name string, tables map[string]*mysqlTable) *mysqlTable {
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

// tableIDs reads which tablespace each InnoDB table is in, once a collection: on MySQL 8 it is slow.
func (s *mysqlSession) tableIDs(ctx context.Context, files *mysqlFiles) func() (map[int64]int64, error) {
	return func() (map[int64]int64, error) {
		if files.owners != nil {
			return files.owners, nil
		}
		text := mysqlTableIDsSysSQL
		if s.version.dictionary() {
			text = mysqlTableIDsSQL
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
