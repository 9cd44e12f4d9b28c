package e2e

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"whalefall/cli"
	"whalefall/cli/clitest"
	"whalefall/collectors"
	oracleengine "whalefall/collectors/oracle"
	"whalefall/models"
	"whalefall/testenv"
	"whalefall/testenv/catalog"
	"whalefall/testenv/oracle"
	"whalefall/testenv/sqlserver"
)

// emulated describes an emulated server of an engine that cannot be installed here, and what the pages show of it.
type emulated struct {
	engine         models.Engine
	program        cli.Program
	host           string
	port           int
	service        string // for the form's field for the database; empty: it has none
	user, password string // sees everything
	limited        string // a user with the same password and too few privileges
	full, bare     string // databases with tables and without any
	hidden         string // the database in which the limited user sees no tables
	want           map[string][]string
	sizes          map[string]string // bytes of each database
	gone           string            // the message for a database that does not exist
	loginNumber    int               // the error number of a refused login
	deniedNumber   int               // the error number of a missing privilege
	shownNumber    string            // deniedNumber as pages show it
	grant          string            // the statement that the limited user needs
	denied         string            // selects the element that shows grant
}

// TestWalk_SQLServer adds, tests, syncs and refreshes an instance on an emulated server, as TestWalk_Oracle does.
func TestWalk_SQLServer(t *testing.T) {
	t.Parallel()
	walkEmulated(t, emulatedSQLServer(t))
}

func TestWalk_Oracle(t *testing.T) {
	t.Parallel()
	walkEmulated(t, emulatedOracle(t))
}

func emulatedSQLServer(t *testing.T) emulated {
	server := sqlserver.Start(t, sqlserver.Options{})
	hostile := caseNamed(t, "sqlserver", "hostile names")
	var want catalog.Want
	hostile.DecodeWant(t, &want)
	const pages, page = 3000, 8192
	files := []sqlserver.File{
		{Name: "data", Pages: pages},
		{Name: "log", Type: "LOG", Pages: 500},
		{Name: "fs", Type: "FILESTREAM", Pages: 70},
	}
	server.AddDatabase(t, sqlserver.Database{Name: "sales", Rows: hostile.Rows, Files: files})
	server.AddDatabase(t, sqlserver.Database{Name: "bare", Rows: caseNamed(t, "sqlserver", "empty database").Rows})
	server.AddDatabase(t, sqlserver.Database{Name: "archive", State: "OFFLINE"})
	permissions := []string{"CONNECT ANY DATABASE", "VIEW ANY DEFINITION", "VIEW SERVER STATE"}
	server.AddLogin(t, sqlserver.Login{Name: "whalefall", Permissions: permissions})
	server.AddLogin(t, sqlserver.Login{Name: "limited", Users: map[string]sqlserver.User{"sales": {}}})
	return emulated{
		engine: models.SQLServer, host: server.Host, port: server.Port,
		user: "whalefall", password: sqlserver.Password, limited: "limited",
		full: "sales", bare: "bare", hidden: "sales", want: wantedCells(want.Tables),
		sizes: map[string]string{
			"sales":   strconv.Itoa((pages + 500 + 70) * page),
			"archive": strconv.Itoa((1024 + 256) * page),
		},
		gone: "数据库不存在: nowhere", loginNumber: 18456,
		deniedNumber: 4063, shownNumber: "SQL Server 错误号 4063",
		grant: "GRANT VIEW DEFINITION", denied: "[data-empty=denied]",
	}
}

func emulatedOracle(t *testing.T) emulated {
	hostile := caseNamed(t, "oracle", "quoted, Chinese, 128-byte and hostile names")
	want := map[string]catalog.Want{}
	hostile.DecodeWant(t, &want)
	rows := maps.Clone(hostile.Rows)
	rows["DBA_TABLESPACES"] = append(slices.Clone(rows["DBA_TABLESPACES"]),
		map[string]any{"TABLESPACE_NAME": "BARE", "CONTENTS": "PERMANENT"})
	for name, bytes := range map[string]int{"USERS": 7 << 30, "BARE": 1 << 20} {
		rows["DBA_DATA_FILES"] = append(slices.Clone(rows["DBA_DATA_FILES"]),
			map[string]any{"TABLESPACE_NAME": name, "BYTES": bytes})
	}
	server := oracle.New(t, oracle.Options{Service: "orclpdb1.example.com", Container: "ORCLPDB1", Rows: rows})
	server.AddUser(t, oracle.User{Name: "WHALEFALL", Password: sqlserver.Password, Catalog: true})
	server.AddUser(t, oracle.User{Name: "LIMITED", Password: sqlserver.Password})

	const port = 1521 // reaches the emulation, without a network; other ports are real
	engines := func(s *cli.Settings, log *slog.Logger) map[models.Engine]collectors.Collector {
		network, all := oracleengine.New(nil), cli.Engines(s, log)
		collector := oracleengine.New(nil)
		collector.Connector = func(t collectors.Target) (driver.Connector, error) {
			if t.Port != port {
				return network.Connector(t)
			}
			return server.Connector(oracle.Login{
				Service: t.Database, SID: t.Options["sid"], Username: t.Username, Password: t.Password,
			}), nil
		}
		all[models.Oracle] = collector
		return all
	}
	return emulated{
		engine: models.Oracle, program: cli.Program{Engines: engines},
		host: "127.0.0.1", port: port, service: "orclpdb1.example.com",
		user: "whalefall", password: sqlserver.Password, limited: "limited",
		full: "USERS", bare: "BARE", hidden: "USERS", want: wantedCells(want["USERS"].Tables),
		sizes: map[string]string{"USERS": strconv.Itoa(7 << 30), "BARE": strconv.Itoa(1 << 20)},
		gone:  "Tablespace 不存在: nowhere", loginNumber: 1017,
		deniedNumber: 942, shownNumber: "ORA-00942",
		grant: `GRANT SELECT_CATALOG_ROLE TO "LIMITED"`, denied: "#toasts .toast.error .grant",
	}
}

// caseNamed returns a case of the engine's catalog.
func caseNamed(t *testing.T, engine, name string) catalog.Case {
	t.Helper()
	for _, c := range catalog.Cases(t, engine) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no case %q for %s", name, engine)
	return catalog.Case{}
}

// wantedCells returns total, data and index size of each table in bytes, as shownCells does; an unknown size is empty.
func wantedCells(tables []catalog.Table) map[string][]string {
	cells := map[string][]string{}
	for _, r := range tables {
		var row []string
		for _, size := range []*int64{r.Total, r.Data, r.Index} {
			text := ""
			if size != nil {
				text = strconv.FormatInt(*size, 10)
			}
			row = append(row, text)
		}
		cells[r.Schema+"."+r.Name] = row
	}
	return cells
}

func walkEmulated(t *testing.T, e emulated) {
	t.Helper()
	a := clitest.StartWith(t, e.program, "--data-dir", t.TempDir())
	w := walk{browser: newBrowser(t), app: a, lang: "zh-CN", theme: "light", database: e.full}
	w.logIn("admin", a.Password)
	w.addEmulated(e, e.user)
	w.syncEmulated(e)
	w.refreshEmulated(e)
	w.refusedByAPI(e)
	w.addEmulated(e, e.limited)
	w.refreshAsLimited(e)
}

// addEmulated adds the server as an instance, with a wrong password first.
func (w *walk) addEmulated(e emulated, user string) {
	w.t.Helper()
	w.open(w.app.URL + "/instances")
	w.click("#add-instance")
	w.fill(`#modal input[name=name]`, string(e.engine)+"_"+user)
	w.choose("#instance-type", string(e.engine))
	w.until(`document.querySelector("input[name=shown_type]").value == "` + string(e.engine) + `"`)
	w.fill(`input[name=host]`, e.host)
	w.fill(`input[name=port]`, strconv.Itoa(e.port))
	if e.service != "" {
		w.fill(`input[name=database_name]`, e.service)
	}
	w.fill(`input[name=username]`, user)
	w.fill(`input[name=password]`, "not the password")
	w.click("#test-connection")
	w.see("#test-result .error")
	got, number := w.text("#test-result .error"), strconv.Itoa(e.loginNumber)
	if !strings.Contains(got, number) || !strings.Contains(got, "登录被拒绝") {
		w.t.Errorf("test with a wrong password: got %q, want 登录被拒绝 and %s in it", got, number)
	}
	w.look("wrong-password-" + user)
	w.quiet("409")
	w.fill(`input[name=password]`, e.password)
	w.click("#test-connection")
	w.see("#test-result .success")
	w.look("form-" + user)
	w.click("#instance-save")
	w.until(`/^\/instances\/\d+$/.test(location.pathname)`)
	w.instance = w.address()
	w.see("#sync-capacity")
	w.quiet()
}

// syncEmulated syncs the instance and checks the sizes of its databases.
func (w *walk) syncEmulated(e emulated) {
	w.t.Helper()
	w.click("#sync-capacity")
	w.see(w.row())
	w.see("#toasts .toast.success")
	for name, want := range e.sizes {
		cell := `document.querySelector('tr[data-database="` + name + `"] td.size')`
		if got := evaluate[string](w.browser, `(`+exactBytes+`)(`+cell+`)`); got != want {
			w.t.Errorf("size of %s: got %s bytes, want %s", name, got, want)
		}
	}
	w.look("synced")
	w.quiet()
}

// refreshEmulated looks at a list that was never collected, that has tables, that is filtered to nothing, and of a
// database without tables.
func (w *walk) refreshEmulated(e emulated) {
	w.t.Helper()
	w.click(w.row() + " a[data-primary]")
	w.see(`#modal [data-empty=never]`)
	w.look("never")
	w.click("#tables-refresh")
	w.see("#tables-view tbody tr")
	if shown := shownCells(w.browser); !maps.EqualFunc(shown, e.want, slices.Equal) {
		w.t.Errorf("sizes in the list: got %q\nwant %q", shown, e.want)
	}
	if evaluate[bool](w.browser, `!!document.querySelector("#incomplete")`) {
		w.t.Error("the list is marked incomplete")
	}
	w.look("tables")
	w.fill("#filter-table", "nothing is called this")
	w.see("#tables-view [data-empty=filtered]")
	w.look("filtered")
	w.open(w.app.URL + w.instance + "/databases/" + e.bare + "/tables")
	w.click("#tables-refresh")
	w.see("[data-empty=none]")
	w.look("none")
	w.quiet()
}

// shownCells returns total, data and index size in bytes of every row in the open list, by schema and table.
func shownCells(b *browser) map[string][]string {
	rows := evaluate[[][]string](b, `[...document.querySelectorAll("#tables-view tbody tr")].map(r =>
		[r.dataset.schema + "." + r.dataset.table, ...[...r.cells].slice(2, 5).map(`+exactBytes+`)])`)
	cells := map[string][]string{}
	for _, r := range rows {
		cells[r[0]] = r[1:]
	}
	return cells
}

// apiError is the body of an error response.
type apiError struct {
	Message string `json:"message"`
	Code    string `json:"message_code"`
	Extra   struct {
		Reason string `json:"reason"`
		Number int    `json:"error_number"`
		Grant  string `json:"grant"`
	} `json:"extra"`
}

// post sends a request from the page and returns the status and the error in the response. A nil body sends none.
func (w *walk) post(path string, body any) (status int, response apiError) {
	w.t.Helper()
	var content []byte
	var err error
	if body != nil {
		if content, err = json.Marshal(body); err != nil {
			w.t.Fatal(err)
		}
	}
	text := evaluate[string](w.browser, fmt.Sprintf(`(() => {
		const x = new XMLHttpRequest();
		x.open("POST", %q, false);
		x.setRequestHeader("X-CSRFToken", JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"]);
		x.setRequestHeader("Content-Type", "application/json");
		x.send(%q);
		return x.status + " " + x.responseText;
	})()`, path, content))
	code, rest, _ := strings.Cut(text, " ")
	if status, err = strconv.Atoi(code); err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(rest), &response); err != nil {
		w.t.Fatalf("POST %s: %v in %s", path, err, rest)
	}
	return status, response
}

// refusedByAPI checks the API's errors for servers, passwords and databases that are wrong.
func (w *walk) refusedByAPI(e emulated) {
	w.t.Helper()
	for reason, port := range map[string]int{"refused": testenv.FreePort(w.t), "timeout": testenv.SilentPort(w.t)} {
		status, got := w.post("/api/v1/connections/actions/test", map[string]any{
			"db_type": e.engine, "host": "127.0.0.1", "port": port, "database_name": "x",
			"username": e.user, "password": e.password,
		})
		if status != 409 || got.Code != "DATABASE_CONNECTION_ERROR" || got.Extra.Reason != reason {
			w.t.Errorf("test: got %d %+v, want 409 DATABASE_CONNECTION_ERROR with the reason %s", status, got, reason)
		}
	}

	status, got := w.post("/api/v1/connections/actions/test", map[string]any{
		"db_type": e.engine, "host": e.host, "port": e.port, "database_name": e.service,
		"username": e.user, "password": "wrong",
	})
	if status != 409 || got.Extra.Number != e.loginNumber || got.Extra.Reason != "login" {
		w.t.Errorf("wrong password: got %d %+v, want 409 with the number %d", status, got, e.loginNumber)
	}

	status, got = w.post("/api/v1"+w.instance+"/databases/nowhere/tables/sizes/actions/refresh", nil)
	if status != 409 || got.Code != "SYNC_DATA_ERROR" || got.Message != e.gone {
		w.t.Errorf("unknown database: got %d %+v, want 409 SYNC_DATA_ERROR %s", status, got, e.gone)
	}
	w.quiet("409")
}

// refreshAsLimited refreshes with an account that may not see the tables: the page shows the missing grant.
func (w *walk) refreshAsLimited(e emulated) {
	w.t.Helper()
	path := w.instance + "/databases/" + e.hidden + "/tables"
	w.open(w.app.URL + path)
	w.see("[data-empty=never]")
	w.click("#tables-refresh")
	if got := w.text(e.denied); !strings.Contains(got, e.grant) {
		w.t.Errorf("denied list: got %q, want %s in it", got, e.grant)
	}
	w.look("denied")

	status, got := w.post("/api/v1"+w.instance+"/databases/"+e.bare+"/tables/sizes/actions/refresh", nil)
	hasGrant := strings.Contains(got.Extra.Grant, "GRANT") || strings.Contains(got.Extra.Grant, "CREATE USER")
	if status != 409 || got.Extra.Number != e.deniedNumber || !hasGrant {
		w.t.Errorf("refresh without the grant: got %d %+v, want 409 with the number %d", status, got, e.deniedNumber)
	}
	if e.engine == models.Oracle { // without the role no tablespace can be measured
		status, got := w.post("/api/v1"+w.instance+"/actions/sync-capacity", nil)
		if status != 409 || got.Extra.Number != e.deniedNumber {
			w.t.Errorf("sync without the grant: got %d %+v, want 409 with the number %d", status, got, e.deniedNumber)
		}
	}

	w.open(w.app.URL + w.instance + "/databases/" + e.bare + "/tables")
	w.click("#tables-refresh")
	toast := w.text("#toasts .toast.error")
	if !strings.Contains(toast, e.shownNumber) || strings.HasPrefix(toast, e.shownNumber) {
		w.t.Errorf("toast: got %q, want %s in it, not at its beginning", toast, e.shownNumber)
	}
	w.look("refused")
	w.quiet("409")
}
