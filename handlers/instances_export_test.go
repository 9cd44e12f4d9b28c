package handlers_test

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const exportHeader = "name,db_type,host,port,database_name,description,credential_id," +
	"id,status,tls_mode,tags,main_version,active_db_count,total_size_bytes,last_sync_time,created_at"

func TestInstancesExport(t *testing.T) {
	onBothStores(t, func(a *app) {
		credential := a.admin.post("/credentials", obj{"name": "c", "username": "u_secret", "password": "p_secret"}).
			id("credential", "id")
		server := a.admin.post("/instances", obj{
			"name":          "-pg",
			"db_type":       "pg",
			"host":          "db.example.com",
			"port":          5432,
			"credential_id": credential,
			"description":   "=1+1, \"x\"",
			"tag_names":     []string{"b", "a;c"},
			"options":       obj{"application": "o_secret"},
		}).want(201, "实例创建成功").id("instance", "id")
		file := a.sqliteInstance("file", a.sqliteFile("CREATE TABLE t (x)"))
		a.admin.post(file+"/actions/sync-capacity", nil)
		gone := a.sqliteInstance("gone", a.dir+"/gone.db")
		a.admin.remove(gone).want(200, "实例已移入回收站")

		r := a.guest.get("/instances/exports")
		equal(a, "content type", r.header.Get("Content-Type"), "text/csv; charset=utf-8")
		name := r.header.Get("Content-Disposition")
		if !strings.HasPrefix(name, `attachment; filename="instances_20`) || !strings.HasSuffix(name, `.csv"`) {
			a.Errorf("Content-Disposition: %s", name)
		}
		rows := r.cells()
		equal(a, "header", strings.Join(rows[0], ","), exportHeader)
		equal(a, "rows", len(rows), 3)
		equal(a, "server", strings.Join(rows[1][:13], "|"),
			fmt.Sprintf("'-pg|postgresql|db.example.com|5432||'=1+1, \"x\"|%d|%d|active|prefer|\"a;c\";b||0",
				credential, server))
		stored := a.admin.get("/instances?search=file").at("items", 0).(obj)
		equal(a, "file", strings.Join(slices.Concat(rows[2][:4], rows[2][8:10], rows[2][11:15]), "|"), strings.Join([]string{
			"file", "sqlite", "", "", "active", "prefer", stored["main_version"].(string), "1",
			fmt.Sprint(int64(stored["total_size_bytes"].(float64))), stored["last_sync_time"].(string),
		}, "|"))
		if strings.Contains(r.raw, "secret") {
			a.Errorf("the export tells secrets: %s", r.raw)
		}
		for filter, count := range map[string]int{
			"search=FILE": 1, "db_type=mssql": 0, "status=deleted": 1, "include_deleted=1": 3, "tags=b&tags=none": 1,
			"limit=1&page=2&sort=x": 2, "search=%00": 0,
		} {
			equal(a, filter, len(a.guest.get("/instances/exports?"+filter).cells()), count+1)
		}
		if marked := a.guest.get("/instances/exports?bom=ON").raw; !strings.HasPrefix(marked, "\ufeffname,") {
			a.Errorf("no byte order mark: %.20q", marked)
		}
		a.anonymous.get("/instances/exports").want(401, "请先登录")
	})
}

func TestInstancesExport_ManyPages(t *testing.T) {
	a := newApp(t, filepath.Join(t.TempDir(), "store.db"))
	var file strings.Builder
	file.WriteString("name,db_type,host,port\n")
	for i := range 1000 {
		fmt.Fprintf(&file, "n%d,mysql,h,%d\n", i, i+1)
	}
	a.admin.importFile("a.csv", file.String()).want(200, "成功创建 1000 个实例")
	a.sqliteInstance("last", a.dir+"/a.db")
	rows := a.guest.get("/instances/exports").cells()
	equal(t, "rows", len(rows), 1002)
	for i, row := range rows[1:1001] {
		if row[0] != fmt.Sprintf("n%d", i) {
			t.Fatalf("row %d is %s", i, row[0])
		}
	}
}

func TestInstancesImport_Template(t *testing.T) {
	onBothStores(t, func(a *app) {
		r := a.guest.get("/instances/imports/template")
		equal(a, "name", r.header.Get("Content-Disposition"), `attachment; filename="instances_import_template.csv"`)
		equal(a, "rows", len(r.cells()), 2)
		if !strings.HasPrefix(r.raw, importHeader) {
			a.Errorf("template: %s", r.raw)
		}
		a.admin.importFile("a.csv", a.guest.get("/instances/imports/template?bom=1").raw).want(200, "成功创建 1 个实例")
	})
}

// TestInstancesExport_RoundTrip exports hostile instances, deletes them and imports them again: everything that an
// import can carry is the same. Line breaks in cells become LF.
func TestInstancesExport_RoundTrip(t *testing.T) {
	a := newApp(t, filepath.Join(t.TempDir(), "store.db"))
	hostile := rapid.StringOfN(rapid.SampledFrom([]rune("='+-@\t\r\n,;\"＝＋－＠ a鲸\\.\ufeff|%")), 0, 12, -1)
	line := rapid.StringOfN(rapid.SampledFrom([]rune("='+-@,;\"＝＋－＠ a鲸\\.|%")), 1, 12, -1)
	nameRunes := rapid.SampledFrom([]rune("-_a鲸0"))
	rapid.Check(t, func(r *rapid.T) {
		member := obj{
			"name": rapid.StringOfN(nameRunes, 1, 12, -1).
				Draw(r, "name"),
			"db_type":       "pg",
			"host":          "::1",
			"port":          rapid.IntRange(1, 65535).Draw(r, "port"),
			"database_name": line.Draw(r, "database"),
			"description":   hostile.Draw(r, "description"),
			"tag_names":     rapid.SliceOfN(line, 0, 3).Draw(r, "tags"),
			"is_active":     rapid.Bool().Draw(r, "active"),
			"tls_mode":      rapid.SampledFrom([]string{"disable", "verify-full"}).Draw(r, "tls"),
		}
		created := a.admin.post("/instances", member).want(201, "实例创建成功").data["instance"].(obj)
		path := fmt.Sprintf("/instances/%.0f", created["id"])
		exported := a.guest.get("/instances/exports?bom=1&search=" + url.QueryEscape(created["name"].(string))).raw
		a.admin.remove(path).want(200, "实例已移入回收站")
		imported := a.admin.importFile("a.csv", exported).want(200, "成功创建 1 个实例")
		again := fmt.Sprintf("/instances/%d", imported.id("created_ids", 0))
		got := a.admin.get(again).data["instance"].(obj)
		a.admin.remove(again).want(200, "实例已移入回收站")
		created["description"] = strings.ReplaceAll(created["description"].(string), "\r\n", "\n")
		for _, name := range []string{
			"name", "db_type", "host", "port", "database_name", "description", "tags", "is_active", "tls_mode",
		} {
			if have, want := plain(got[name]), plain(created[name]); have != want {
				r.Fatalf("%s: %s came back as %s in %q", name, want, have, exported)
			}
		}
	})
}

// Spreadsheets of half of the world split unquoted cells at semicolons, and take what follows for a formula.
func TestInstancesExport_QuotesText(t *testing.T) {
	t.Parallel()
	a := newApp(t, filepath.Join(t.TempDir(), "store.db"))
	for _, text := range []string{"a;=1+1", "a\t=1+1", `a;"b"`, ";", "=a"} {
		a.admin.post("/instances", obj{
			"name": "x", "db_type": "pg", "host": "h", "port": 1, "description": text,
		}).want(201, "实例创建成功")
		exported := a.guest.get("/instances/exports").raw
		rows, err := csv.NewReader(strings.NewReader(exported)).ReadAll()
		check(t, err)
		cell := rows[1][slices.Index(rows[0], "description")]
		if quoted := `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`; !strings.Contains(exported, ","+quoted+",") {
			t.Errorf("%q is not quoted: %s", text, exported)
		}
		a.admin.remove("/instances/" + rows[1][slices.Index(rows[0], "id")])
	}
}
