package collectors_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/glebarez/go-sqlite"

	"whalefall/collectors"
)

// list is what a server has: the statement lists as many rows as it is cut to, the counts are in order.
type list struct {
	db     *sql.DB
	cut    int
	counts []int
}

func (l *list) read(ctx context.Context, text string, scan func(*sql.Rows) error, _ ...any) error {
	if strings.HasPrefix(text, "SELECT COUNT(*) FROM (") {
		if len(l.counts) == 0 {
			return nil
		}
		text = fmt.Sprintf("SELECT %d", l.counts[0])
		l.counts = l.counts[1:]
	} else {
		text = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT i FROM n LIMIT " + fmt.Sprint(l.cut)
	}
	return collectors.EachRow(ctx, l.db, text, scan)
}

func TestReader_List(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })

	for name, test := range map[string]struct {
		counts []int
		cut    int
		whole  bool
	}{
		"all arrive":                 {[]int{5}, 5, true},
		"none are there":             {[]int{0}, 0, true},
		"cut":                        {[]int{32, 32}, 5, false},
		"cut to nothing":             {[]int{32, 32}, 0, false},
		"one fewer":                  {[]int{32, 32}, 31, false},
		"some were dropped":          {[]int{32, 30}, 30, true},
		"some were dropped, and cut": {[]int{32, 30}, 29, false},
		"some were created":          {[]int{5}, 7, true},
		"not even the count arrives": {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &list{db: db, cut: test.cut, counts: test.counts}
			arrived := 0
			whole, err := collectors.Reader(l.read).List(t.Context(), "SELECT i FROM list", func(*sql.Rows) error {
				arrived++
				return nil
			})
			if err != nil || whole != test.whole || arrived != test.cut {
				t.Errorf("got %d rows, whole %v, %v; want %d, %v", arrived, whole, err, test.cut, test.whole)
			}
		})
	}
}
