package postgresql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"whalefall/collectors/collectortest"
)

// cutConnector opens connections that lose all rows of an answer after the first ones.
type cutConnector struct {
	driver.Connector
	rows *int
}

func (c cutConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return cutConn{conn.(*stdlib.Conn), c.rows}, nil
}

type wholeConn = stdlib.Conn

type cutConn struct {
	*wholeConn
	rows *int
}

func (c cutConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.wholeConn.QueryContext(ctx, text, args)
	return &cutRows{rows, *c.rows}, err
}

type cutRows struct {
	driver.Rows
	left int
}

func (r *cutRows) Next(into []driver.Value) error {
	if r.left--; r.left < 0 {
		return io.EOF
	}
	return r.Rows.Next(into)
}

// cutSession opens a session whose answers have at most so many rows.
func cutSession(t *testing.T, c *Collector, f collectortest.Fixture, rows *int) *session {
	t.Helper()
	config, err := c.config(f.Target, f.Database)
	collectortest.Must(t, err)
	db := sql.OpenDB(cutConnector{stdlib.GetConnector(*config), rows})
	t.Cleanup(func() { _ = db.Close() })
	s := &session{settings: c.Settings}
	collectortest.Must(t, s.connect(t.Context(), db))
	t.Cleanup(s.close)
	return s
}

func TestSession_Cut(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for name, read := range map[string]func(context.Context, *session) error{
		"relations": func(ctx context.Context, s *session) error { _, err := s.relations(ctx); return err },
		"parents":   func(ctx context.Context, s *session) error { _, err := s.parents(ctx); return err },
		"databases": func(ctx context.Context, s *session) error { _, err := s.databases(ctx); return err },
		"catalog":   func(ctx context.Context, s *session) error { _, err := s.catalog(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows := 1 << 30
			s := cutSession(t, New(), f, &rows)
			if collectortest.Must(t, read(t.Context(), s)); s.short {
				t.Error("got short, want all rows")
			}
			rows = 1
			if collectortest.Must(t, read(t.Context(), s)); !s.short {
				t.Error("got all rows, want short")
			}
		})
	}
}

// Files that do not all arrive are left to the size functions, whose missing answers leave relations unread.
func TestSizing_Cut(t *testing.T) {
	t.Parallel()
	f := setup(t)
	rows := 1 << 30
	z := &sizing{collector: New(), target: f.Target, database: f.Database, sizes: map[int64]relationSize{}}
	z.session = cutSession(t, z.collector, f, &rows)
	catalog, err := z.session.catalog(t.Context())
	collectortest.Must(t, err)
	z.server = catalog.server
	wanted := catalog.sizeable()

	rows = 1
	if z.server.listsFiles {
		if left, err := z.byFiles(t.Context(), wanted); err != nil || len(left) != len(wanted) {
			t.Errorf("by files: got %d left, %v; want all %d", len(left), err, len(wanted))
		}
	}
	collectortest.Must(t, z.byFunctions(t.Context(), wanted))
	z.noteMissing(wanted)
	unread := 0
	for _, w := range wanted {
		if size := z.sizes[w.oid]; size.unread != "" {
			unread++
		} else if size.gone() {
			t.Errorf("relation %d counts as gone", w.oid)
		}
	}
	if !z.short || unread != len(wanted)-1 {
		t.Errorf("got %d of %d unread, short %v; want all but one", unread, len(wanted), z.short)
	}
}

func TestSession_Files_Cut(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, cut := range []int{0, 1, 5} {
		rows := cut
		s := cutSession(t, New(), f, &rows)
		if _, err := s.files(t.Context(), 1); !errors.Is(err, errCut) && sqlState(err) != codeInsufficientPrivilege {
			t.Errorf("%d rows: got %v, want %v", cut, err, errCut)
		}
	}
}
