package catalog_test

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"whalefall/testenv"
	"whalefall/testenv/catalog"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func engines(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, engine := range []string{"sqlserver", "oracle"} {
		if _, err := os.Stat(engine + ".json"); err == nil {
			found = append(found, engine)
		}
	}
	return found
}

func TestViews_HavePageAndColumns(t *testing.T) {
	t.Parallel()
	for _, engine := range engines(t) {
		keys := map[string]bool{}
		for _, view := range catalog.Views(engine) {
			if keys[view.Key()] {
				t.Errorf("%s is listed twice", view.Key())
			}
			keys[view.Key()] = true
			if !strings.HasPrefix(view.Page, "https://") || len(view.Columns) == 0 {
				t.Errorf("%s: page %q, %d columns", view.Key(), view.Page, len(view.Columns))
			}
			columns := map[string]bool{}
			for _, column := range view.Columns {
				if column.Name == "" || columns[strings.ToLower(column.Name)] {
					t.Errorf("%s: column %q is unnamed or listed twice", view.Key(), column.Name)
				}
				columns[strings.ToLower(column.Name)] = true
			}
		}
	}
}

func TestCases_FitTheViews(t *testing.T) {
	t.Parallel()
	for _, engine := range engines(t) {
		if _, err := os.Stat("cases/" + engine); err != nil {
			continue
		}
		names := map[string]bool{}
		for _, c := range catalog.Cases(t, engine) {
			if c.Name == "" || names[c.Name] || c.Why == "" || len(c.Source) == 0 {
				t.Errorf("%s: a case has a name of its own, a source and a reason", c.Name)
			}
			names[c.Name] = true
			db, err := catalog.Open(t.Context(), catalog.Views(engine), c.Rows)
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
				continue
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

var thing = []catalog.View{{Schema: "sys", Name: "things", Columns: []catalog.Column{
	{Name: "name", Type: "sysname"},
	{Name: "pages", Type: "bigint"},
	{Name: "is_new", Type: "bit"},
	{Name: "born", Type: "datetime"},
}}}

func TestOpen_KeepsValues(t *testing.T) {
	t.Parallel()
	db, err := catalog.Open(t.Context(), thing, catalog.Rows{"sys.things": {
		{"name": "007", "pages": int64(9e18), "is_new": true, "born": "2026-01-02 03:04:05.678"},
		{"name": "a]b "},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	type row struct {
		Name  string
		Pages sql.NullInt64
		IsNew sql.NullBool
		Born  sql.NullString
	}
	rows, err := db.QueryContext(t.Context(),
		"SELECT t.[name], t.pages, t.is_new, t.born FROM sys.things AS t ORDER BY t.name")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var got []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.Name, &r.Pages, &r.IsNew, &r.Born); err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	want := []row{
		{
			"007",
			sql.NullInt64{Int64: 9e18, Valid: true},
			sql.NullBool{Bool: true, Valid: true},
			sql.NullString{String: "2026-01-02 03:04:05.678", Valid: true},
		},
		{Name: "a]b "},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOpen_SchemaIsOptional(t *testing.T) {
	t.Parallel()
	db, err := catalog.Open(t.Context(), thing, catalog.Rows{"sys.things": {{"name": "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, from := range []string{"sys.things", "SYS.THINGS", "things"} {
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+from).Scan(&n); err != nil || n != 1 {
			t.Errorf("%s: %d rows, %v", from, n, err)
		}
	}
}

func TestAsOf(t *testing.T) {
	t.Parallel()
	views := []catalog.View{
		{Name: "tables", Columns: []catalog.Column{
			{Name: "name", Type: "sysname"},
			{Name: "is_memory_optimized", Type: "bit", Since: "2014 (12.x)"},
			{Name: "temporal_type", Type: "tinyint", Since: "2016 (13.x)"},
			{Name: "is_federation_member", Type: "bit", Only: "Azure SQL Database"},
		}},
		{Name: "external_tables", Since: "2016 (13.x)"},
	}
	rows := catalog.Rows{"tables": {{"name": "t", "temporal_type": 1}}, "external_tables": {{}}}
	for version, want := range map[int]string{
		2012: "tables(name)",
		2014: "tables(name is_memory_optimized)",
		2025: "tables(name is_memory_optimized temporal_type) external_tables()",
	} {
		var got []string
		views, rows := catalog.AsOf(version, views, rows)
		for _, view := range views {
			var columns []string
			for _, column := range view.Columns {
				columns = append(columns, column.Name)
			}
			got = append(got, view.Name+"("+strings.Join(columns, " ")+")")
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%d: %s, want %s", version, got, want)
		}
		if _, has := rows["tables"][0]["temporal_type"]; has != (version >= 2016) {
			t.Errorf("%d: %v", version, rows)
		}
		if _, has := rows["external_tables"]; has != (version >= 2016) {
			t.Errorf("%d: %v", version, rows)
		}
	}
}

func TestOpen_PadsFixedLengthText(t *testing.T) {
	t.Parallel()
	views := []catalog.View{{Schema: "sys", Name: "objects", Columns: []catalog.Column{{Name: "type", Type: "char(2)"}}}}
	db, err := catalog.Open(t.Context(), views, catalog.Rows{"sys.objects": {{"type": "U"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, where := range []string{"o.type = 'U'", "o.type IN ('V', 'U')", "'U ' = o.type"} {
		var got string
		err := db.QueryRowContext(t.Context(), "SELECT o.type FROM sys.objects AS o WHERE "+where).Scan(&got)
		if err != nil || got != "U " {
			t.Errorf("%s: %q, %v", where, got, err)
		}
	}
}

func TestOpen_RejectsMisspelledNames(t *testing.T) {
	t.Parallel()
	db, err := catalog.Open(t.Context(), thing, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, query := range []string{"SELECT label FROM sys.things", "SELECT name FROM sys.thing"} {
		if _, err := db.ExecContext(t.Context(), query); err == nil {
			t.Errorf("%s is answered", query)
		}
	}
}

func TestOpen_RejectsUnknownRows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows catalog.Rows
		want []string
	}{
		"column": {catalog.Rows{"sys.things": {{"label": "x"}}}, []string{"sys.things", "label"}},
		"view":   {catalog.Rows{"sys.thing": {{"name": "x"}}}, []string{"sys.thing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := catalog.Open(t.Context(), thing, c.rows)
			if err == nil {
				_ = db.Close()
				t.Fatal("is taken")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not name %s", err, part)
				}
			}
		})
	}
}
