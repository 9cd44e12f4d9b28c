// Package sqlite collects sizes from SQLite files.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	sqlitedriver "github.com/glebarez/go-sqlite"
	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"whalefall/collectors"
	"whalefall/models"
)

// mainDatabase is the name of the one database of a file.
const mainDatabase = "main"

// busyTimeout is how long a reader waits for a writer.
const busyTimeout = 2 * time.Second

// Collector collects from SQLite files. It never changes them.
type Collector struct{ allowed []string }

// New returns a collector that opens only SQLite files below the allowed directories.
func New(allowed []string) *Collector { return &Collector{allowed: allowed} }

// Version opens the file and returns the version of the library that reads it: the file itself has none.
func (c *Collector) Version(ctx context.Context, t collectors.Target) (models.Version, error) {
	var version string
	_, err := c.read(ctx, t, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, statements["file"]).Scan(&version, new(int64))
	})
	if err != nil {
		return models.Version{}, err
	}
	main := version
	if parts := strings.SplitN(version, ".", 3); len(parts) == 3 {
		main = parts[0] + "." + parts[1]
	}
	return models.Version{Full: "SQLite " + version, Main: main, Detailed: version}, nil
}

// Capabilities returns what is particular to SQLite.
func (c *Collector) Capabilities() models.Capabilities {
	return models.Capabilities{NamesHiddenTables: true}
}

// Databases lists the one database "main": its pages are data, its write-ahead log is log.
func (c *Collector) Databases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	var data collectors.Number
	path, err := c.read(ctx, t, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, statements["file"]).Scan(new(string), &data)
	})
	if err != nil {
		return models.DatabaseResult{}, err
	}
	log := collectors.Checked(fileSize(path + "-wal"))
	main := models.DatabaseSize{
		Name: mainDatabase, Total: data.Plus(log).Pointer(), Data: data.Pointer(), Log: log.Pointer(),
	}
	if main.Total == nil {
		main.Err = collectors.ErrImpossible(mainDatabase)
	}
	return models.DatabaseResult{Databases: []models.DatabaseSize{main}, Complete: true}, nil
}

// Tables measures every table by its pages. The same pages give the number of rows, exactly. It reads the whole file.
func (c *Collector) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	if database != mainDatabase {
		return models.TableResult{}, collectors.DatabaseGone(database, nil)
	}
	var found catalog
	_, err := c.read(ctx, t, func(tx *sql.Tx) (err error) {
		found, err = readCatalog(ctx, tx)
		return err
	})
	if err != nil {
		return models.TableResult{}, err
	}
	result := models.TableResult{Tables: found.assemble(), Complete: true, Proof: models.ProofFile}
	if found.short {
		result = collectors.CutShort(result)
	}
	collectors.Counted(ctx, len(result.Tables))
	return result, nil
}

// bTree is a table or index and the table it belongs to.
type bTree struct {
	name, kind, table string
	primaryKey        *string // of a table: its primary key's index, which of a WITHOUT ROWID table is the b-tree itself
}

// pageCounts is what the pages of a b-tree hold: used and unused bytes, cells, and the cells of its leaf pages. Where
// dbstat does not tell the unused bytes, they count as used.
type pageCounts struct{ used, unused, cells, leafCells collectors.Number }

// add adds a page, of which unused bytes are unknown where dbstat does not tell them.
func (p *pageCounts) add(bytes, unused, cells collectors.Number, leaf bool) {
	switch {
	case unused == collectors.Unknown:
		unused = 0
	case unused > bytes, unused == collectors.Impossible:
		bytes, unused = collectors.Impossible, collectors.Impossible
	default:
		bytes -= unused
	}
	p.used, p.unused, p.cells = p.used.Plus(bytes), p.unused.Plus(unused), p.cells.Plus(cells)
	if leaf {
		p.leafCells = p.leafCells.Plus(cells)
	}
}

// catalog is the schema of a file with the pages of its b-trees.
type catalog struct {
	virtual map[string]bool // by name in lower case
	btrees  []bTree
	pages   map[string]pageCounts
	tells   bool // dbstat tells the unused bytes of this file
	short   bool // some list arrived with fewer rows than the library counts, or without pages of a b-tree
}

// readCatalog reads the schema and every page of the file.
func readCatalog(ctx context.Context, tx *sql.Tx) (catalog, error) {
	found := catalog{virtual: map[string]bool{}, pages: map[string]pageCounts{}}
	err := found.list(ctx, tx, statements["virtual"], func(rows *sql.Rows) error {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		found.virtual[strings.ToLower(name)] = true
		return nil
	})
	if err != nil {
		return found, err
	}

	err = found.list(ctx, tx, statements["btrees"], func(rows *sql.Rows) error {
		var b bTree
		if err := rows.Scan(&b.name, &b.kind, &b.table, &b.primaryKey); err != nil {
			return err
		}
		found.btrees = append(found.btrees, b)
		return nil
	})
	if err != nil {
		return found, err
	}
	err = found.readPages(ctx, tx)
	return found, err
}

// list runs a statement that lists something and notes if rows are missing.
func (c *catalog) list(ctx context.Context, tx *sql.Tx, text string, scan func(*sql.Rows) error) error {
	read := func(ctx context.Context, text string, scan func(*sql.Rows) error, args ...any) error {
		return collectors.EachRow(ctx, tx, text, scan, args...)
	}
	return collectors.Reader(read).ListNoting(ctx, &c.short, text, scan)
}

// readPages adds up the pages of each b-tree. They are not counted, as that would read the whole file once more; but
// every b-tree has at least one.
func (c *catalog) readPages(ctx context.Context, tx *sql.Tx) error {
	uncounted, measured, last := c.tables(), collectors.Tally(0), ""
	collectors.Expected(ctx, len(uncounted))
	err := collectors.EachRow(ctx, tx, statements["pages"], func(rows *sql.Rows) error {
		var name string
		var bytes, unused, cells collectors.Number
		var leaf bool
		if err := rows.Scan(&name, &bytes, &unused, &cells, &leaf); err != nil {
			return err
		}

		if name != last { // all pages of the previous b-tree are read
			if uncounted[last] {
				delete(uncounted, last)
				measured.Add(ctx)
			}
			last = name
		}
		p := c.pages[name]
		p.add(bytes, unused, cells, leaf)
		c.tells = unused != collectors.Unknown
		c.pages[name] = p
		return nil
	})

	for _, b := range c.btrees {
		_, arrived := c.pages[b.name]
		c.short = c.short || err == nil && !arrived
	}
	return err
}

// tables returns the names of the tables that are listed.
func (c catalog) tables() map[string]bool {
	names := map[string]bool{}
	for _, t := range c.btrees {
		if t.listed() {
			names[t.name] = true
		}
	}
	return names
}

// listed reports whether the b-tree is that of a table other than the library's own.
func (b bTree) listed() bool { return b.kind == "table" && !strings.HasPrefix(b.name, "sqlite_") }

// assemble returns the tables with the sums of their b-trees. The b-tree of a table is its data. That of a WITHOUT
// ROWID table is built like an index, so its inner pages hold rows as well.
func (c catalog) assemble() []models.TableSize {
	type size struct{ data, index, unused, cells, leafCells collectors.Number }
	sizes, names := map[string]size{}, make(map[string]bool, len(c.btrees))
	for _, b := range c.btrees {
		names[b.name] = true
		s, pages := sizes[b.table], c.pages[b.name]
		if b.kind == "index" {
			s.index = s.index.Plus(pages.used)
		} else {
			s.data, s.cells, s.leafCells = pages.used, pages.cells, pages.leafCells
		}
		s.unused = s.unused.Plus(pages.unused)
		sizes[b.table] = s
	}
	var tables []models.TableSize
	for _, t := range c.btrees {
		if !t.listed() {
			continue
		}
		s := sizes[t.name]
		total, rows := s.data.Plus(s.index).Plus(s.unused), s.leafCells
		if t.primaryKey != nil && !names[*t.primaryKey] {
			rows = s.cells
		}
		kind := models.KindTable
		if c.shadow(t.name) {
			kind = models.KindShadow
		}
		table := models.TableSize{
			Schema: mainDatabase, Name: collectors.ValidName(t.name), Kind: kind,
			Total: total.Pointer(), Data: s.data.Pointer(), Index: s.index.Pointer(), SizeSource: models.SizeAllocated,
			Rows: rows.Pointer(), RowsSource: models.RowsExact,
		}
		if c.tells {
			table.Unused = s.unused.Pointer()
		}
		if !total.Known() || !rows.Known() {
			table = models.TableSize{
				Schema: mainDatabase, Name: table.Name, Kind: kind, SizeSource: models.SizeNone, Unread: models.UnreadFailed,
			}
		}
		tables = append(tables, table)
	}
	return tables
}

// shadows are the suffixes that full-text search (fts3 to fts5) and R-trees append to a virtual table's name for the
// tables they store it in.
var shadows = []string{
	"config", "content", "data", "docsize", "idx", "segdir", "segments", "stat", "node", "parent", "rowid",
}

// shadow reports whether a table stores a virtual table.
func (c catalog) shadow(name string) bool {
	name = strings.ToLower(name)
	i := strings.LastIndexByte(name, '_')
	return i > 0 && c.virtual[name[:i]] && slices.Contains(shadows, name[i+1:])
}

// read runs f in one read-only transaction on the target's file and returns the file's real path. A file that does
// not seem to be in use is first read as immutable, which creates no files beside it. If it is in use, or changed
// meanwhile, it is read with locks.
func (c *Collector) read(ctx context.Context, t collectors.Target, f func(*sql.Tx) error) (path string, err error) {
	path, err = c.resolve(t)
	if err != nil {
		return "", err
	}
	if before := stateOf(path); before.quiet() {
		err = readFile(ctx, path, true, f)
		if stateOf(path) == before {
			return path, c.classify(ctx, t, err)
		}
	}
	return path, c.classify(ctx, t, readFile(ctx, path, false, f))
}

// memoryAddress returns the address of an empty database, with the text encoding, that files are attached to. It runs
// no code from a file's schema.
func memoryAddress(encoding string) string {
	return "file::memory:?" + url.Values{"_pragma": {
		"encoding('" + encoding + "')",
		"query_only(1)", "trusted_schema(0)", "busy_timeout(" + collectors.Milliseconds(busyTimeout) + ")",
	}}.Encode()
}

// encodings are the text encodings that a file can have.
var encodings = []string{"UTF-8", "UTF-16le", "UTF-16be"}

// textOtherEncoding is in the error for a file whose encoding is not that of the database it is attached to.
const textOtherEncoding = "must use the same text encoding"

// readFile runs f in a transaction on the file. The encoding is not read from the file: closing it would end the locks
// that this process may have on it as its own store.
func readFile(ctx context.Context, path string, immutable bool, f func(*sql.Tx) error) (err error) {
	for _, encoding := range encodings {
		err = readEncoded(ctx, path, immutable, encoding, f)
		if err == nil || !strings.Contains(err.Error(), textOtherEncoding) {
			return err
		}
	}
	return err
}

// readEncoded attaches a file of the encoding to an empty database and runs f in a transaction.
func readEncoded(ctx context.Context, path string, immutable bool, encoding string, f func(*sql.Tx) error) error {
	db, err := sql.Open(sqlite.DriverName, memoryAddress(encoding))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	opened, err := gorm.Open(&sqlite.Dialector{Conn: db}, &gorm.Config{DisableAutomaticPing: true, Logger: logger.Discard})
	if err != nil {
		return err
	}
	if db, err = opened.DB(); err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, statements["attach"], address(path, immutable)); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	collectors.Reached(ctx, models.PhaseQuerying)
	return f(tx)
}

// address returns the file as a read-only URI, whatever characters its path has. The index of a write-ahead log is read
// only, too: one that we created could not be written by the file's owner.
func address(path string, immutable bool) string {
	options := url.Values{"mode": {"ro"}, "readonly_shm": {"1"}}
	if immutable {
		options.Set("immutable", "1")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + options.Encode()
}

// resolve returns the real path of the target's file, which must be a regular file below an allowed directory. Its
// error does not reveal whether anything exists elsewhere.
func (c *Collector) resolve(t collectors.Target) (string, error) {
	path, err := filepath.Abs(t.Database)
	if err != nil {
		return "", outside(t, err)
	}
	resolved, err := filepath.EvalSymlinks(path)
	switch {
	case err == nil && !c.isAllowed(resolved), err != nil && !c.isAllowed(path):
		return "", outside(t, err)
	case err != nil:
		return "", unreachable(t, err)
	}
	if info, err := os.Stat(resolved); err != nil || !info.Mode().IsRegular() {
		return "", unreachable(t, errors.Join(err, fs.ErrInvalid))
	}
	return resolved, nil
}

func (c *Collector) isAllowed(path string) bool { return collectors.IsBelow(c.allowed, path) }

// fileState is compared to find out whether a file was written to.
type fileState struct {
	size     int64
	modified time.Time
	wal      bool
	journal  bool
}

func stateOf(path string) fileState {
	var state fileState
	if info, err := os.Stat(path); err == nil {
		state.size, state.modified = info.Size(), info.ModTime()
	}
	state.wal, state.journal = exists(path+"-wal"), exists(path+"-journal")
	return state
}

// quiet reports whether there is no sign of a writer.
func (s fileState) quiet() bool { return !s.wal && !s.journal }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// fileSize returns the bytes of a file, 0 if it does not exist.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Result codes of SQLite that we handle.
const (
	codeBusy      = 5
	codeReadOnly  = 8
	codeInterrupt = 9
	codeCorrupt   = 11
	codeCantOpen  = 14
	codeNotADB    = 26
)

// classify returns the *models.Error for an error of reading the file; nil for nil.
func (c *Collector) classify(ctx context.Context, t collectors.Target, err error) error {
	if err == nil {
		return nil
	}
	if known := collectors.Settled(ctx, err); known != nil {
		return known
	}
	code := 0
	if refused, ok := errors.AsType[*sqlitedriver.Error](err); ok {
		code = refused.Code() & 0xff
	}
	key := "collect.sqlite.failed"
	switch code {
	case codeInterrupt:
		return collectors.Cancelled(err)
	case codeCantOpen:
		if path, found := filepath.EvalSymlinks(t.Database); found == nil && exists(path+"-wal") && !exists(path+"-shm") {
			key = "collect.sqlite.log_without_index"
			break
		}
		return unreachable(t, err)
	case codeReadOnly:
		key = "collect.sqlite.interrupted"
	case codeBusy:
		key = "collect.sqlite.busy"
	case codeNotADB:
		key = "collect.sqlite.not_a_database"
	case codeCorrupt:
		key = "collect.sqlite.corrupt"
	}
	return &models.Error{
		Code: models.CodeCollection, Key: key, Args: models.Args("Name", t.Name, "Code", code),
		Extra: map[string]any{"sqlite_code": code}, Err: err,
	}
}

func outside(t collectors.Target, cause error) *models.Error {
	return &models.Error{
		Code: models.CodeCollection, Key: "collect.sqlite.outside", Args: models.Args("Name", t.Name), Err: cause,
	}
}

func unreachable(t collectors.Target, cause error) *models.Error {
	return collectors.Unreachable(t, collectors.ReasonMissing, cause)
}
