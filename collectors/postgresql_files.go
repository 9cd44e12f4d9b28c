package collectors

import (
	"context"
	"database/sql"
	_ "embed"
	"slices"
	"strconv"
	"strings"
)

//go:embed sql/postgresql/oldest.sql
var pgOldestSQL string

//go:embed sql/postgresql/files.sql
var pgFilesSQL string

//go:embed sql/postgresql/parts.sql
var pgPartsSQL string

// pgFile is what all files of a relation have in common: the oid of their tablespace and the number their names begin with.
// Numbers are unique within a tablespace only.
type pgFile struct{ tablespace, number uint32 }

// pgFileBytes is what the files of a relation hold. All is -1 when one of them vanished while it was looked at.
type pgFileBytes struct{ all, main int64 }

func (b *pgFileBytes) add(size *int64, main bool) {
	switch {
	case b.all < 0:
	case size == nil:
		b.all = -1
	default:
		b.all += *size
		if main {
			b.main += *size
		}
	}
}

// byFiles adds up the files of each relation where the account may list them. It takes no lock on any, and the server remembers
// nothing of it. It returns what it cannot tell the size of: everything when the server refuses, and what was made or rewritten
// since the files began to be listed, as its files may be those of before.
func (z *pgSizing) byFiles(ctx context.Context, wanted []pgWanted) (left []pgWanted, err error) {
	if !z.server.listsFiles {
		return wanted, nil
	}
	oldest, err := z.session.oldest(ctx)
	if err != nil {
		return pgAllLeft(ctx, wanted, err)
	}
	files, err := z.session.files(ctx, pgPartsOfTable*len(wanted))
	if err != nil {
		return pgAllLeft(ctx, wanted, err)
	}
	sums, err := z.session.sumFiles(ctx, wanted, files, oldest)
	if err != nil {
		return pgAllLeft(ctx, wanted, err)
	}
	for _, w := range wanted {
		switch sum := sums[w.oid]; {
		case sum.unsure:
			left = append(left, w)
		case !sum.exists:
			z.sizes[w.oid] = pgSize{}
		default:
			z.sizes[w.oid] = pgSize{data: &sum.data, index: &sum.index, main: &sum.main}
		}
	}
	counted(ctx, len(z.sizes))
	return left, nil
}

// pgAllLeft leaves everything to the size functions when the server refused, and is the error when it cannot be asked any more.
func pgAllLeft(ctx context.Context, wanted []pgWanted, err error) ([]pgWanted, error) {
	if state := sqlState(err); ctx.Err() != nil || state == "" || pgOffline(state) {
		return nil, err
	}
	return wanted, nil
}

func (s *pgSession) oldest(ctx context.Context) (transaction string, err error) {
	err = s.each(ctx, pgOldestSQL, func(rows *sql.Rows) error { return rows.Scan(&transaction) })
	return transaction, err
}

// pgPartsOfTable is how many relations with files a table usually is: itself, its TOAST, the index of that, a primary key.
const pgPartsOfTable = 4

// files reads about so many.
func (s *pgSession) files(ctx context.Context, about int) (map[pgFile]pgFileBytes, error) {
	files := make(map[pgFile]pgFileBytes, about)
	err := s.each(ctx, pgFilesSQL, func(rows *sql.Rows) error {
		var tablespace uint32
		var name sql.RawBytes
		var size *int64
		if err := rows.Scan(&tablespace, &name, &size); err != nil {
			return err
		}
		if number, main, ok := pgFileName(string(name)); ok {
			file := pgFile{tablespace, number}
			bytes := files[file]
			bytes.add(size, main)
			files[file] = bytes
		}
		return nil
	})
	return files, err
}

// pgFileName takes the name of a file of a relation apart: its number, and whether it is of the main part: 16384, 16384.1,
// 16384_fsm, 16384_vm.1. Every other name is no such file: a copy that somebody left there, or one of a temporary relation,
// which begins with a letter.
func pgFileName(name string) (number uint32, main, ok bool) {
	name, segment, segmented := strings.Cut(name, ".")
	digits, fork, forked := strings.Cut(name, "_")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err == nil && segmented {
		_, err = strconv.ParseUint(segment, 10, 32)
	}
	return uint32(n), !forked, err == nil && (!forked || slices.Contains(pgForks, fork))
}

// pgForks are the parts of a relation beside the main one.
var pgForks = []string{"fsm", "vm", "init"}

// pgFileSum is what the files of a table, its TOAST and its indexes hold.
type pgFileSum struct {
	exists, unsure    bool
	data, index, main int64
}

// sumFiles adds the files up to the tables they belong to.
func (s *pgSession) sumFiles(ctx context.Context, wanted []pgWanted, files map[pgFile]pgFileBytes, oldest string) (map[int64]*pgFileSum, error) {
	sums := make(map[int64]*pgFileSum, len(wanted))
	for _, w := range wanted {
		sums[w.oid] = &pgFileSum{}
	}
	err := s.each(ctx, pgPartsSQL, func(rows *sql.Rows) error {
		var table int64
		var part pgPart
		if err := rows.Scan(&table, &part.index, &part.self, &part.bare, &part.file.tablespace, &part.file.number, &part.changed); err != nil {
			return err
		}
		if sum, ok := sums[table]; ok {
			bytes, found := files[part.file]
			sum.add(part, bytes, found)
		}
		return nil
	}, oldest)
	return sums, err
}

// pgPart is a table, its TOAST, an index of either.
type pgPart struct {
	index, self bool // an index of the table; the table itself
	bare        bool // has no files, as a partitioned table
	changed     bool // since the files began to be listed
	file        pgFile
}

func (s *pgFileSum) add(p pgPart, bytes pgFileBytes, found bool) {
	s.exists = s.exists || p.self
	switch {
	case p.changed, !p.bare && (!found || bytes.all < 0):
		s.unsure = true
	case p.index:
		s.index += bytes.all
	default:
		s.data += bytes.all
		if p.self {
			s.main = bytes.main
		}
	}
}
