package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"math/bits"
	"regexp"
	"slices"
	"strings"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// openLimit is how many InnoDB tables of a schema may be opened to find their rows and the division of their bytes if
// the statistics table is not readable. Servers without a data dictionary open each table for that, 1 ms each when
// cold.
const openLimit = 500

// openBudget is how long one run may spend on opening InnoDB tables that have no file in the server's list: without a
// data dictionary it lists only those that were opened since it started. The rest is left unread, so that it keeps its
// values until a later run opens it; statistics instead would make the database shrink with every restart.
const openBudget = 30 * time.Second

// openStep is how many tables are opened between two looks at the budget.
const openStep = 100

// tableFiles is one table with its files and statistics.
type tableFiles struct {
	name         string
	kind, engine string // empty if not queried, as for MariaDB's tables with files, or if the server left them out
	options      string // empty on MariaDB

	files    int               // number of its own files
	own      collectors.Number // bytes of its own files
	zipPage  int64             // bytes of a page with ROW_FORMAT=COMPRESSED, else 0
	fullText collectors.Number // bytes of the files of its full-text indexes
	stat     statistics
	unread   models.Unread

	shared    bool // it is in a shared tablespace; never set on MySQL 8
	uncounted bool // it has full-text indexes that are in no figure
}

// statistics holds the engine's own figures of a table in rows and bytes.
type statistics struct {
	read              bool // the others were read
	rows, data, index collectors.Number
}

// divided reports whether the statistics divide the table's bytes into data and index, or pretend to.
func (m *statistics) divided() bool {
	return m.read && m.data != collectors.Unknown && m.index != collectors.Unknown
}

// impossible reports whether some of them cannot be.
func (m *statistics) impossible() bool {
	return m.read && min(m.rows, m.data, m.index) == collectors.Impossible
}

func (t *tableFiles) is(engines ...string) bool {
	for _, engine := range engines {
		if strings.EqualFold(t.engine, engine) {
			return true
		}
	}
	return false
}

// innodb reports whether it is an InnoDB table. Only InnoDB tables have listed files, so a table with a file needs no
// engine lookup.
func (t *tableFiles) innodb() bool { return t.is("InnoDB") || t.engine == "" && t.files > 0 }

// external reports whether opening the table may access another server.
func (t *tableFiles) external() bool { return t.is("FEDERATED", "CONNECT", "SPIDER", "S3", "OQGRAPH") }

// merged reports whether the table's bytes are those of other tables.
func (t *tableFiles) merged() bool { return t.is("MRG_MyISAM") }

// exact reports whether the engine counts rows and bytes instead of estimating them.
func (t *tableFiles) exact() bool {
	return t.is("MyISAM", "Aria", "MEMORY", "ARCHIVE", "BLACKHOLE")
}

// unsized reports whether the engine has no size of its own for the table.
func (t *tableFiles) unsized() bool { return t.is("CSV") || t.external() || t.merged() }

// compressedOption matches the create options of a page-compressed table on MySQL. MariaDB sets a flag of the file
// instead.
var compressedOption = regexp.MustCompile(`(?i)\bcompression=['"](zlib|lz4)`)

// add adds a file to the table. A page-compressed file counts with its bytes on disk, once there are any.
func (t *tableFiles) add(f tablespaceFile) {
	t.files++
	if f.allocated > 0 && (f.pageCompressed() || compressedOption.MatchString(t.options)) {
		t.own = t.own.Plus(f.allocated)
	} else {
		t.own = t.own.Plus(f.size)
	}
	t.zipPage = cmp.Or(t.zipPage, f.zipPageBytes())
}

// size returns the table as a row of the result.
func (t *tableFiles) size(schema string) models.TableSize {
	out := models.TableSize{
		Schema: schema, Name: t.name, Kind: t.resultKind(), Unread: t.unread, SizeSource: models.SizeNone,
	}
	if t.merged() {
		out.RolledUp = true // its bytes are its children's, which only SHOW CREATE TABLE names
	}
	if t.unread != "" || t.unsized() {
		return out
	}

	switch {
	case t.stat.impossible():
		out.Note = models.NoteImpossible
	case t.uncounted:
		out.Note = models.NoteFullText
	}
	if t.stat.read && t.stat.rows.Known() {
		out.Rows, out.RowsSource = t.stat.rows.Pointer(), models.RowsStatistic
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

// sizeFiles sets the total from the files and divides it by the statistics.
func (t *tableFiles) sizeFiles(out *models.TableSize) {
	total := t.own.Plus(t.fullText)
	if !total.Known() {
		out.Unread = models.UnreadFailed
		return
	}
	out.SizeSource = models.SizeAllocated
	if !t.stat.divided() || t.stat.data == collectors.Impossible || t.stat.index == collectors.Impossible {
		out.Total = total.Pointer()
		return
	}
	data, index, stale := fit(int64(t.stat.data), int64(t.stat.index), int64(t.own))
	out.StatsStale = stale
	setBytes(out, int64(total), data, index+int64(t.fullText))
}

// sizeStatistics sets all sizes from the statistics.
func (t *tableFiles) sizeStatistics(out *models.TableSize) {
	if !t.stat.divided() {
		return
	}
	index := t.stat.index.Plus(t.fullText)
	total := t.stat.data.Plus(index)
	if !total.Known() {
		out.Unread = models.UnreadFailed
		return
	}
	setBytes(out, int64(total), int64(t.stat.data), int64(index))
	out.SizeSource = models.SizeStatistic
	if t.exact() {
		out.SizeSource = models.SizeAllocated
	}
}

// setBytes sets all sizes. They share one allocation, since there is a result for every table.
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

// fit scales data and index down to the size of their file if the statistics exceed it, which stale reports. All are in
// bytes and not negative.
func fit(data, index, file int64) (fitData, fitIndex int64, stale bool) {
	sum := uint64(data) + uint64(index)
	if sum <= uint64(file) {
		return data, index, false
	}
	high, low := bits.Mul64(uint64(data), uint64(file))
	quotient, _ := bits.Div64(high, low, sum)
	return int64(quotient), file - int64(quotient), true
}

// measure reads the statistics of the tables. With files set the tablespaces were readable. Unless split is set, it
// skips statistics that are needed only for rows and for the division into data and index.
func (s *session) measure(ctx context.Context, schema string, tables map[string]*tableFiles, files, split bool) error {
	if s.version.dictionary() {
		err := s.sizes(ctx, schema, tables)
		if number := errorNumber(err); number != codeMaxExecutionTime && number != codeLockWait {
			return err
		}
		return s.lookUp(ctx, schema, tables, withoutStatistics(tables))
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
	names, unopened := tablesToOpen(tables, files, split)
	if err := s.lookUp(ctx, schema, tables, names); err != nil {
		return err
	}
	return s.openWithin(ctx, schema, tables, unopened)
}

// tablesToOpen returns the tables that have to be opened to be measured, and of those separately the ones that may have
// files which the server does not list yet.
func tablesToOpen(tables map[string]*tableFiles, files, split bool) (names, unopened []string) {
	var undivided []string // tables whose files give a total
	for _, name := range withoutStatistics(tables) {
		switch t := tables[name]; {
		case t.files > 0:
			undivided = append(undivided, name)
		case files && t.fileless() && !t.shared:
			unopened = append(unopened, name)
		default:
			names = append(names, name)
		}
	}
	if split && len(undivided) <= openLimit {
		names = append(names, undivided...)
	}
	return names, unopened
}

// openWithin looks up tables for as long as the run's budget lasts, and leaves the others unread.
func (s *session) openWithin(ctx context.Context, schema string, tables map[string]*tableFiles, names []string) error {
	for some := range slices.Chunk(names, openStep) {
		if s.openBudget <= 0 {
			for _, name := range some {
				tables[name].unread = models.UnreadFailed
			}
			continue
		}

		started := time.Now()
		if err := s.lookUp(ctx, schema, tables, some); err != nil {
			return err
		}
		s.openBudget -= time.Since(started)
	}
	return nil
}

// withoutStatistics returns the tables that lack statistics although they could have some.
func withoutStatistics(tables map[string]*tableFiles) (names []string) {
	for _, t := range tables {
		if !t.stat.divided() && t.unread == "" && !t.unsized() {
			names = append(names, t.name)
		}
	}
	return names
}

// sizes reads the statistics of the whole schema from a data dictionary.
func (s *session) sizes(ctx context.Context, schema string, tables map[string]*tableFiles) error {
	return s.list(ctx, statements["sizes"], func(rows *sql.Rows) error {
		var inSchema, name string
		var stat statistics
		stat.read = true
		if err := rows.Scan(&inSchema, &name, &stat.rows, &stat.data, &stat.index); err != nil {
			return err
		}
		if t := tables[name]; t != nil && inSchema == schema {
			t.stat = stat
			s.measured.Add(ctx)
		}
		return nil
	}, schema)
}

// statistics reads InnoDB's persistent statistics and adds up those of partitions. There are none if the account may
// not read them or they are locked. Where the tablespaces are readable, those of a table without a file may be of a
// discarded one, and are left to lookUp.
func (s *session) statistics(
	ctx context.Context, schema string, tables map[string]*tableFiles, files, split bool,
) error {
	unlisted := !files && slices.ContainsFunc(slices.Collect(maps.Values(tables)), (*tableFiles).fileless)
	if s.pageSize == 0 || !split && !unlisted {
		return nil
	}

	err := s.list(ctx, statements["statistics"], func(rows *sql.Rows) error {
		var name sql.RawBytes
		var count, data, index collectors.Number
		if err := rows.Scan(&name, &count, &data, &index); err != nil {
			return err
		}
		if t := statisticsOwner(name, tables); t != nil && t.innodb() && (!files || t.files > 0) {
			if !t.stat.divided() {
				s.measured.Add(ctx)
			}
			page := cmp.Or(t.zipPage, s.pageSize)
			t.stat.add(count, data.Times(page), index.Times(page))
		}
		return nil
	}, schema)

	switch errorNumber(err) {
	case codeTableDenied, codeColumnDenied, codeLockWait:
		return nil
	}
	return err
}

// statisticsOwner is partitionOwner without an allocation for tables without partitions.
func statisticsOwner(name []byte, tables map[string]*tableFiles) *tableFiles {
	if t := tables[string(name)]; t != nil {
		return t
	}
	return partitionOwner(string(name), tables)
}

// add adds the rows and bytes of a partition.
func (m *statistics) add(rows, data, index collectors.Number) {
	m.read = true
	m.rows, m.data, m.index = m.rows.Plus(rows), m.data.Plus(data), m.index.Plus(index)
}
