package collectors

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"math/bits"
	"regexp"
	"strings"

	"whalefall/models"
)

//go:embed sql/mysql/names.sql
var mysqlNamesSQL string

//go:embed sql/mysql/names_unopened.sql
var mysqlNamesUnopenedSQL string

//go:embed sql/mysql/sizes.sql
var mysqlSizesSQL string

//go:embed sql/mysql/size.sql
var mysqlSizeSQL string

//go:embed sql/mysql/statistics.sql
var mysqlStatisticsSQL string

// mysqlOpenLimit is how many InnoDB tables of a schema may be opened to learn their rows and how their bytes divide, where
// the statistics table is not readable. Servers without a data dictionary open a table to answer, 1 ms each when cold.
const mysqlOpenLimit = 500

// mysqlTable is one table with what was found out about it.
type mysqlTable struct {
	name, kind, engine string
	options            string // empty on MariaDB

	files    []mysqlFile
	fullText int64            // bytes of the files of its full-text indexes
	stat     *mysqlStatistics // nil: not known
	unread   models.Unread
}

// mysqlStatistics are what the engine says of a table; bytes.
type mysqlStatistics struct{ rows, data, index *int64 }

func (t *mysqlTable) is(engines ...string) bool {
	for _, engine := range engines {
		if strings.EqualFold(t.engine, engine) {
			return true
		}
	}
	return false
}

func (t *mysqlTable) innodb() bool { return t.is("InnoDB") }

// external reports whether opening the table may ask another server; merged, whether it would count others' bytes.
func (t *mysqlTable) external() bool { return t.is("FEDERATED", "CONNECT", "SPIDER", "S3", "OQGRAPH") }
func (t *mysqlTable) merged() bool   { return t.is("MRG_MyISAM") }

// exact reports whether the engine counts rows and bytes instead of estimating them.
func (t *mysqlTable) exact() bool {
	return t.is("MyISAM", "Aria", "MEMORY", "ARCHIVE", "BLACKHOLE")
}

// unsized reports whether the engine says 0 bytes whatever it holds.
func (t *mysqlTable) unsized() bool { return t.is("CSV") || t.external() || t.merged() }

// compressedOption is how MySQL marks a table whose file has holes; MariaDB does it in the file's flags.
var compressedOption = regexp.MustCompile(`(?i)\bcompression=['"](zlib|lz4)`)

// fileBytes are the bytes of the table's own files. Of a page-compressed file that is what it has on disk, unless nothing
// was written out yet.
func (t *mysqlTable) fileBytes() (sum int64) {
	compressed := compressedOption.MatchString(t.options)
	for _, f := range t.files {
		if (compressed || f.pageCompressed()) && f.allocated > 0 {
			sum += f.allocated
		} else {
			sum += f.size
		}
	}
	return sum
}

// size is the table as a row of the result.
func (t *mysqlTable) size(schema string) models.TableSize {
	out := models.TableSize{Schema: schema, Name: t.name, Kind: t.resultKind(), Unread: t.unread, SizeSource: models.SizeNone}
	if t.merged() {
		out.RolledUp = true // its bytes are its children's; which those are only SHOW CREATE TABLE says
	}
	if t.unread != "" || t.unsized() {
		return out
	}
	if t.stat != nil && t.stat.rows != nil {
		out.Rows, out.RowsSource = t.stat.rows, models.RowsStatistic
		if t.exact() {
			out.RowsSource = models.RowsExact
		}
	}
	if len(t.files) > 0 {
		t.sizeFiles(&out)
	} else {
		t.sizeStatistics(&out)
	}
	return out
}

// sizeFiles: the files say how much, the statistics how it divides.
func (t *mysqlTable) sizeFiles(out *models.TableSize) {
	own := t.fileBytes()
	total := own + t.fullText
	out.Total, out.SizeSource = &total, models.SizeAllocated
	if t.stat == nil || t.stat.data == nil || t.stat.index == nil {
		return
	}
	data, index, stale := fit(*t.stat.data, *t.stat.index, own)
	unused := own - data - index
	index += t.fullText
	out.Data, out.Index, out.Unused, out.StatsStale = &data, &index, &unused, stale
}

func (t *mysqlTable) sizeStatistics(out *models.TableSize) {
	if t.stat == nil || t.stat.data == nil || t.stat.index == nil {
		return
	}
	data, index, unused := *t.stat.data, *t.stat.index+t.fullText, int64(0)
	total := data + index
	out.Total, out.Data, out.Index, out.Unused = &total, &data, &index, &unused
	out.SizeSource = models.SizeStatistic
	if t.exact() {
		out.SizeSource = models.SizeAllocated
	}
}

func (t *mysqlTable) resultKind() models.Kind {
	switch {
	case t.kind == "SEQUENCE":
		return models.KindSequence
	case t.merged():
		return models.KindMerge
	case t.external():
		return models.KindExternal
	case t.is("MEMORY"):
		return models.KindMemory
	}
	return models.KindTable
}

// fit scales data and index down to what their file holds, when the statistics say more; bytes, none negative.
func fit(data, index, file int64) (fitData, fitIndex int64, stale bool) {
	sum := uint64(data) + uint64(index)
	if sum <= uint64(file) {
		return data, index, false
	}
	high, low := bits.Mul64(uint64(data), uint64(file))
	quotient, _ := bits.Div64(high, low, sum)
	return int64(quotient), file - int64(quotient), true
}

// names lists the tables of a schema. The server may compare names loosely, so they are compared again. One without an
// engine could not be looked at, because it is locked or broken.
func (s *mysqlSession) names(ctx context.Context, schema string) (map[string]*mysqlTable, error) {
	tables := map[string]*mysqlTable{}
	var unread []*mysqlTable
	text := mysqlNamesSQL
	if s.version.mariadb {
		text = mysqlNamesUnopenedSQL
	}
	err := s.each(ctx, text, func(rows *sql.Rows) error {
		var inSchema string
		var engine, options sql.NullString
		t := &mysqlTable{}
		err := rows.Scan(&inSchema, &t.name, &t.kind, &engine, &options)
		t.engine, t.options = engine.String, options.String
		if inSchema == schema && !t.is("PERFORMANCE_SCHEMA") {
			tables[t.name] = t
			if !engine.Valid {
				unread = append(unread, t)
			}
		}
		return err
	}, schema)
	if err != nil || len(unread) == 0 {
		return tables, err
	}
	reason, err := s.whyUnread(ctx)
	for _, t := range unread {
		t.unread = reason
	}
	return tables, err
}

// measure finds the statistics of the tables; files says whether tablespaces were readable. Where tables have files it may
// do without statistics: split says whether rows and the division into data and index are wanted, too.
func (s *mysqlSession) measure(ctx context.Context, schema string, tables map[string]*mysqlTable, files, split bool) error {
	if s.version.dictionary() {
		err := s.sizes(ctx, schema, tables)
		if number := mysqlNumberOf(err); number != mysqlMaxExecutionTime && number != mysqlLockWait {
			return err
		}
		return s.lookUp(ctx, schema, tables, missing(tables))
	}
	if s.pageSize > 0 {
		if err := s.statistics(ctx, schema, tables, files); err != nil {
			return err
		}
	}
	return s.lookUp(ctx, schema, tables, toOpen(tables, split))
}

// toOpen are the tables that have to be opened to be measured.
func toOpen(tables map[string]*mysqlTable, split bool) (names []string) {
	var known []string // but not how their bytes divide
	for _, name := range missing(tables) {
		if len(tables[name].files) == 0 {
			names = append(names, name)
		} else {
			known = append(known, name)
		}
	}
	if split && len(known) <= mysqlOpenLimit {
		names = append(names, known...)
	}
	return names
}

// missing are the tables that could have statistics and do not.
func missing(tables map[string]*mysqlTable) (names []string) {
	for _, t := range tables {
		if t.stat == nil && t.unread == "" && !t.unsized() {
			names = append(names, t.name)
		}
	}
	return names
}

func (s *mysqlSession) sizes(ctx context.Context, schema string, tables map[string]*mysqlTable) error {
	return s.each(ctx, mysqlSizesSQL, func(rows *sql.Rows) error {
		inSchema, name, stat, err := scanStatistics(rows)
		if t := tables[name]; t != nil && inSchema == schema {
			t.stat = stat
		}
		return err
	}, schema)
}

func scanStatistics(rows *sql.Rows) (schema, name string, stat *mysqlStatistics, err error) {
	stat = &mysqlStatistics{}
	err = rows.Scan(&schema, &name, &stat.rows, &stat.data, &stat.index)
	return schema, name, stat, err
}

// statistics reads InnoDB's own statistics and adds up partitions. Where the account may not read them, or somebody holds
// them locked, there are none. Those of a table without a file of its own may be of a file that was discarded: the server
// is asked about each such table instead, unless they are too many to open.
func (s *mysqlSession) statistics(ctx context.Context, schema string, tables map[string]*mysqlTable, files bool) error {
	fileless := 0
	for _, t := range tables {
		if t.innodb() && len(t.files) == 0 {
			fileless++
		}
	}
	trust := !files || fileless > mysqlOpenLimit
	err := s.each(ctx, mysqlStatisticsSQL, func(rows *sql.Rows) error {
		var name string
		var count, data, index int64
		err := rows.Scan(&name, &count, &data, &index)
		if t := partitionOwner(name, tables); t != nil && t.innodb() && (trust || len(t.files) > 0) {
			page := t.pageBytes(s.pageSize)
			t.stat = t.stat.plus(count, data*page, index*page)
		}
		return err
	}, schema)
	switch mysqlNumberOf(err) {
	case mysqlTableDenied, mysqlColumnDenied, mysqlLockWait:
		return nil
	}
	return err
}

// pageBytes is the size of the table's pages in its files, which statistics count; the instance's where it has none.
func (t *mysqlTable) pageBytes(instance int64) int64 {
	for _, f := range t.files {
		if size := f.zipPageBytes(); size > 0 {
			return size
		}
	}
	return instance
}

// plus adds the statistics of one more partition; nil is none yet.
func (m *mysqlStatistics) plus(rows, data, index int64) *mysqlStatistics {
	if m == nil {
		m = &mysqlStatistics{rows: new(int64), data: new(int64), index: new(int64)}
	}
	*m.rows += rows
	*m.data += data
	*m.index += index
	return m
}

// lookUp asks for the tables one by one: one that is locked or takes too long costs only itself, and one that is gone
// leaves the list.
func (s *mysqlSession) lookUp(ctx context.Context, schema string, tables map[string]*mysqlTable, names []string) error {
	if len(names) == 0 {
		return nil
	}
	one, err := s.conn.PrepareContext(ctx, mysqlSizeSQL)
	if err != nil {
		return err
	}
	defer func() { _ = one.Close() }()
	for _, name := range names {
		stat, err := lookUpOne(ctx, one, schema, name)
		switch number := mysqlNumberOf(err); {
		case errors.Is(err, sql.ErrNoRows):
			delete(tables, name)
		case number == mysqlLockWait:
			tables[name].unread = models.UnreadLocked
		case number == mysqlMaxStatementTime, number == mysqlMaxExecutionTime:
			tables[name].unread = models.UnreadFailed
		case err != nil:
			return err
		case stat.data == nil:
			if tables[name].unread, err = s.whyUnread(ctx); err != nil {
				return err
			}
		default:
			tables[name].stat = stat
		}
	}
	return nil
}

func lookUpOne(ctx context.Context, one *sql.Stmt, schema, name string) (*mysqlStatistics, error) {
	rows, err := one.QueryContext(ctx, schema, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found *mysqlStatistics
	for rows.Next() {
		inSchema, inName, stat, err := scanStatistics(rows)
		if err != nil {
			return nil, err
		}
		if inSchema == schema && inName == name {
			found = stat
		}
	}
	if found == nil && rows.Err() == nil {
		return nil, sql.ErrNoRows
	}
	return found, rows.Err()
}

// whyUnread reads from the warnings of the last statement why a table has no sizes: there is no error for it.
func (s *mysqlSession) whyUnread(ctx context.Context) (models.Unread, error) {
	reason := models.UnreadFailed
	err := s.each(ctx, "SHOW WARNINGS", func(rows *sql.Rows) error {
		var level, message string
		var number int
		err := rows.Scan(&level, &number, &message)
		if number == mysqlLockWait {
			reason = models.UnreadLocked
		}
		return err
	})
	return reason, err
}
