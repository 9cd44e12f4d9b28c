package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"math/bits"
	"regexp"
	"strings"

	"whalefall/collectors"
	"whalefall/models"
)

// openLimit is how many InnoDB tables of a schema may be opened to learn their rows and how their bytes divide, where
// the statistics table is not readable. Servers without a data dictionary open a table to answer, 1 ms each when cold.
const openLimit = 500

// tableFiles is one table with what was found out about it.
type tableFiles struct {
	name         string
	kind, engine string // empty: not asked for, as of MariaDB's tables with files, or not told
	options      string // empty on MariaDB

	files    int   // how many of its own it has
	own      int64 // bytes of those
	zipPage  int64 // bytes of their pages if ROW_FORMAT=COMPRESSED, else 0
	fullText int64 // bytes of the files of its full-text indexes
	stat     statistics
	unread   models.Unread

	shared    bool // the server says that it is in a tablespace of several; MySQL 8 is not asked
	uncounted bool // it has full-text indexes without files
}

// statistics are what the engine says of a table, in rows and bytes, each if it says it at all.
type statistics struct{ rows, data, index sql.NullInt64 }

// divided reports whether the statistics tell how the table's bytes divide.
func (m *statistics) divided() bool { return m.data.Valid && m.index.Valid }

func (t *tableFiles) is(engines ...string) bool {
	for _, engine := range engines {
		if strings.EqualFold(t.engine, engine) {
			return true
		}
	}
	return false
}

// innodb reports whether InnoDB keeps the table. Only its tables have files that are listed, so who has one is not
// asked.
func (t *tableFiles) innodb() bool { return t.is("InnoDB") || t.engine == "" && t.files > 0 }

// external reports whether opening the table may ask another server; merged, whether it would count others' bytes.
func (t *tableFiles) external() bool { return t.is("FEDERATED", "CONNECT", "SPIDER", "S3", "OQGRAPH") }
func (t *tableFiles) merged() bool   { return t.is("MRG_MyISAM") }

// exact reports whether the engine counts rows and bytes instead of estimating them.
func (t *tableFiles) exact() bool {
	return t.is("MyISAM", "Aria", "MEMORY", "ARCHIVE", "BLACKHOLE")
}

// unsized reports whether the engine says 0 bytes whatever it holds.
func (t *tableFiles) unsized() bool { return t.is("CSV") || t.external() || t.merged() }

// compressedOption is how MySQL marks a table whose file has holes; MariaDB does it in the file's flags.
var compressedOption = regexp.MustCompile(`(?i)\bcompression=['"](zlib|lz4)`)

// add gives the table a file. A page-compressed one is what it has on disk, unless nothing was written out yet.
func (t *tableFiles) add(f tablespaceFile) {
	t.files++
	if f.allocated > 0 && (f.pageCompressed() || compressedOption.MatchString(t.options)) {
		t.own += f.allocated
	} else {
		t.own += f.size
	}
	t.zipPage = cmp.Or(t.zipPage, f.zipPageBytes())
}

// size is the table as a row of the result.
func (t *tableFiles) size(schema string) models.TableSize {
	out := models.TableSize{Schema: schema, Name: t.name, Kind: t.resultKind(), Unread: t.unread, SizeSource: models.SizeNone}
	if t.merged() {
		out.RolledUp = true // its bytes are its children's; which those are only SHOW CREATE TABLE says
	}
	if t.unread != "" || t.unsized() {
		return out
	}
	if t.uncounted {
		out.Note = models.NoteFullText
	}
	if t.stat.rows.Valid {
		out.Rows, out.RowsSource = &t.stat.rows.Int64, models.RowsStatistic
		if t.exact() {
			out.RowsSource = models.RowsExact
		}
	}
	if t.files > 0 {
		t.sizeFiles(&out)
	} else {
		t.sizeStatistics(&out)
	}
	return out
}

// sizeFiles: the files say how much, the statistics how it divides.
func (t *tableFiles) sizeFiles(out *models.TableSize) {
	total := t.own + t.fullText
	out.SizeSource = models.SizeAllocated
	if !t.stat.divided() {
		out.Total = &total
		return
	}
	data, index, stale := fit(t.stat.data.Int64, t.stat.index.Int64, t.own)
	out.StatsStale = stale
	setBytes(out, total, data, index+t.fullText)
}

func (t *tableFiles) sizeStatistics(out *models.TableSize) {
	if !t.stat.divided() {
		return
	}
	data, index := t.stat.data.Int64, t.stat.index.Int64+t.fullText
	setBytes(out, data+index, data, index)
	out.SizeSource = models.SizeStatistic
	if t.exact() {
		out.SizeSource = models.SizeAllocated
	}
}

// setBytes keeps the four numbers in one piece of memory: there are as many as tables.
func setBytes(out *models.TableSize, total, data, index int64) {
	bytes := &struct{ total, data, index, unused int64 }{total, data, index, total - data - index}
	out.Total, out.Data, out.Index, out.Unused = &bytes.total, &bytes.data, &bytes.index, &bytes.unused
}

func (t *tableFiles) resultKind() models.Kind {
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

// measure finds the statistics of the tables; files says whether tablespaces were readable. Where tables have files
// it may do without statistics: split says whether rows and the division into data and index are wanted, too.
func (s *session) measure(ctx context.Context, schema string, tables map[string]*tableFiles, files, split bool) error {
	if s.version.dictionary() {
		err := s.sizes(ctx, schema, tables)
		if number := errorNumber(err); number != codeMaxExecutionTime && number != codeLockWait {
			return err
		}
		return s.lookUp(ctx, schema, tables, missing(tables))
	}
	if err := s.kinds(ctx, schema, tables, func(t *tableFiles) bool { return t.files == 0 }); err != nil {
		return err
	}
	if err := s.statistics(ctx, schema, tables, files, split); err != nil {
		return err
	}
	if split {
		if err := s.kinds(ctx, schema, tables, func(t *tableFiles) bool { return !t.stat.divided() }); err != nil {
			return err
		}
		collectors.Expected(ctx, len(tables))
	}
	return s.lookUp(ctx, schema, tables, toOpen(tables, split))
}

// toOpen are the tables that have to be opened to be measured.
func toOpen(tables map[string]*tableFiles, split bool) (names []string) {
	var known []string // but not how their bytes divide
	for _, name := range missing(tables) {
		if tables[name].files == 0 {
			names = append(names, name)
		} else {
			known = append(known, name)
		}
	}
	if split && len(known) <= openLimit {
		names = append(names, known...)
	}
	return names
}

// missing are the tables that could have statistics and do not.
func missing(tables map[string]*tableFiles) (names []string) {
	for _, t := range tables {
		if !t.stat.divided() && t.unread == "" && !t.unsized() {
			names = append(names, t.name)
		}
	}
	return names
}

func (s *session) sizes(ctx context.Context, schema string, tables map[string]*tableFiles) error {
	return s.each(ctx, statements["sizes"], func(rows *sql.Rows) error {
		var inSchema, name string
		var stat statistics
		err := rows.Scan(&inSchema, &name, &stat.rows, &stat.data, &stat.index)
		if t := tables[name]; t != nil && inSchema == schema {
			t.stat = stat
			s.measured.Add(ctx)
		}
		return err
	}, schema)
}

// statistics reads InnoDB's own statistics and adds up partitions. Where the account may not read them, or somebody
// holds them locked, there are none. Those of a table without a file of its own may be of a file that was discarded:
// the server is asked about each such table instead, unless they are too many to open.
func (s *session) statistics(ctx context.Context, schema string, tables map[string]*tableFiles, files, split bool) error {
	fileless := 0
	for _, t := range tables {
		if t.innodb() && t.files == 0 {
			fileless++
		}
	}
	trust := !files || fileless > openLimit
	if s.pageSize == 0 || !split && (!trust || fileless == 0) {
		return nil
	}
	err := s.each(ctx, statements["statistics"], func(rows *sql.Rows) error {
		var name sql.RawBytes
		var count, data, index int64
		err := rows.Scan(&name, &count, &data, &index)
		if t := statisticsOwner(name, tables); t != nil && t.innodb() && (trust || t.files > 0) {
			if !t.stat.divided() {
				s.measured.Add(ctx)
			}
			page := cmp.Or(t.zipPage, s.pageSize)
			t.stat.add(count, data*page, index*page)
		}
		return err
	}, schema)
	switch errorNumber(err) {
	case codeTableDenied, codeColumnDenied, codeLockWait:
		return nil
	}
	return err
}

// statisticsOwner is partitionOwner without a string made for each table that has no partitions.
func statisticsOwner(name []byte, tables map[string]*tableFiles) *tableFiles {
	if t := tables[string(name)]; t != nil {
		return t
	}
	return partitionOwner(string(name), tables)
}

// add adds the statistics of one more partition.
func (m *statistics) add(rows, data, index int64) {
	m.rows = sql.NullInt64{Int64: m.rows.Int64 + rows, Valid: true}
	m.data = sql.NullInt64{Int64: m.data.Int64 + data, Valid: true}
	m.index = sql.NullInt64{Int64: m.index.Int64 + index, Valid: true}
}
