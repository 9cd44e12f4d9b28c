package postgresql

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"whalefall/collectors"
)

// fileID identifies the files of a relation: the oid of their tablespace and the number their names begin with.
// Numbers are unique only within a tablespace.
type fileID struct{ tablespace, number uint32 }

// fileBytes is the size of a relation's files in bytes. All is unknown when one of them vanished before its size was
// read.
type fileBytes struct{ all, main collectors.Number }

func (b *fileBytes) add(size collectors.Number, main bool) {
	b.all = b.all.Plus(size)
	if main {
		b.main = b.main.Plus(size)
	}
}

// byFiles adds up the files of each relation where the account may list them. That takes no locks and leaves nothing
// in the server's caches. It returns the relations whose sizes it cannot tell: all of them when the server refuses,
// and those that were created or rewritten since the listing began, as the files listed may be their old ones.
func (z *sizing) byFiles(ctx context.Context, wanted []target) (left []target, err error) {
	if !z.server.listsFiles {
		return wanted, nil
	}
	oldest, err := z.session.oldest(ctx)
	if err != nil {
		return allLeft(ctx, wanted, err)
	}
	files, err := z.session.files(ctx, partsOfTable*len(wanted))
	if err != nil {
		return allLeft(ctx, wanted, err)
	}
	sums, err := z.session.sumFiles(ctx, wanted, files, oldest)
	if err != nil {
		return allLeft(ctx, wanted, err)
	}
	for _, w := range wanted {
		switch sum := sums[w.oid]; {
		case sum.unsure:
			left = append(left, w)
		case !sum.exists:
			z.sizes[w.oid] = relationSize{}
		default:
			z.sizes[w.oid] = sum.size()
		}
	}
	collectors.Counted(ctx, len(z.sizes))
	return left, nil
}

// errCut says that a list arrived with fewer rows than it has.
var errCut = errors.New("rows are missing")

// allLeft leaves everything to the size functions when the server refused or rows are missing, and returns the error
// when the connection is lost or the collection has ended.
func allLeft(ctx context.Context, wanted []target, err error) ([]target, error) {
	if errors.Is(err, errCut) {
		return wanted, nil
	}
	if state := sqlState(err); ctx.Err() != nil || state == "" || isOffline(state) {
		return nil, err
	}
	return wanted, nil
}

// oldest returns the oldest transaction that is still running.
func (s *session) oldest(ctx context.Context) (transaction string, err error) {
	err = s.each(ctx, statements["oldest"], func(rows *sql.Rows) error { return rows.Scan(&transaction) })
	return transaction, err
}

// partsOfTable is how many relations with files usually make up a table: itself, its TOAST, the index of that, a
// primary key.
const partsOfTable = 4

// files returns the sizes of all files of relations, or errCut; about is how many to expect.
func (s *session) files(ctx context.Context, about int) (map[fileID]fileBytes, error) {
	files := make(map[fileID]fileBytes, about)
	arrived, counted := int64(0), int64(1) // a database has files
	err := s.each(ctx, statements["files"], func(rows *sql.Rows) error {
		var tablespace uint32
		var name sql.RawBytes
		var size collectors.Number
		if err := rows.Scan(&tablespace, &name, &size, &counted); err != nil {
			return err
		}
		arrived++
		if number, main, ok := parseFileName(string(name)); ok {
			file := fileID{tablespace, number}
			bytes := files[file]
			bytes.add(size, main)
			files[file] = bytes
		}
		return nil
	})
	if err == nil && arrived < counted {
		err = errCut
	}
	return files, err
}

// parseFileName splits the name of a relation's file, such as 16384, 16384.1, 16384_fsm and 16384_vm.1, into its
// number and whether it belongs to the main fork. Other names are not ok: copies that somebody left there, and the
// files of temporary relations, which begin with a letter.
func parseFileName(name string) (number uint32, main, ok bool) {
	name, segment, segmented := strings.Cut(name, ".")
	digits, fork, forked := strings.Cut(name, "_")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err == nil && segmented {
		_, err = strconv.ParseUint(segment, 10, 32)
	}
	return uint32(n), !forked, err == nil && (!forked || slices.Contains(forks, fork))
}

// forks are the parts of a relation besides the main one.
var forks = []string{"fsm", "vm", "init"}

// fileSum is the size in bytes of the files of a table, its TOAST and its indexes.
type fileSum struct {
	exists, unsure    bool
	data, index, main collectors.Number
}

func (s *fileSum) size() relationSize { return newRelationSize(s.data, s.index, s.main) }

// sumFiles returns the sums of the files by the oid of the table they belong to, or errCut.
func (s *session) sumFiles(
	ctx context.Context, wanted []target, files map[fileID]fileBytes, oldest string,
) (map[int64]*fileSum, error) {
	sums := make(map[int64]*fileSum, len(wanted))
	for _, w := range wanted {
		sums[w.oid] = &fileSum{}
	}
	whole, err := collectors.Reader(s.each).List(ctx, statements["parts"], func(rows *sql.Rows) error {
		var table int64
		var part part
		err := rows.Scan(&table, &part.index, &part.self, &part.bare, &part.file.tablespace, &part.file.number, &part.changed)
		if err != nil {
			return err
		}

		if sum, ok := sums[table]; ok {
			bytes, found := files[part.file]
			sum.add(part, bytes, found)
		}
		return nil
	}, oldest)
	if err == nil && !whole {
		err = errCut
	}
	return sums, err
}

// part is a table, its TOAST or an index of either.
type part struct {
	index, self bool // an index of the table; the table itself
	bare        bool // has no files, like a partitioned table
	changed     bool // since the listing of the files began
	file        fileID
}

func (s *fileSum) add(p part, bytes fileBytes, found bool) {
	s.exists = s.exists || p.self
	switch {
	case p.changed, !p.bare && (!found || !bytes.all.Known()):
		s.unsure = true
	case p.index:
		s.index = s.index.Plus(bytes.all)
	default:
		s.data = s.data.Plus(bytes.all)
		if p.self {
			s.main = bytes.main
		}
	}
}
