package e2e

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
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

// emulated is a server of an engine that cannot be installed here, as a person meets it.
type emulated struct {
	engine         models.Engine
	program        cli.Program
	host           string
	port           int
	service        string // what the form asks for as the database
	user, password string // sees everything
	lesser         string // another user with the same password, who does not
	full, bare     string // databases with tables and without any
	barred         string // the one that the lesser user sees nothing of
	want           map[string][]string
	sizes          map[string]string // bytes of each database
	gone           string            // what is said of a database that does not exist
	loginNumber    int               // of a refused login
	deniedNumber   int               // of what the lesser user lacks
	shownNumber    string            // the same as pages write it
	grant          string            // what the lesser user needs
	deniedIs       string            // the state of the list, or a toast, that shows it
}

// TestWalk_SQLServer and TestWalk_Oracle go the main way on emulated servers: add, test, sync, refresh.
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
	files := []sqlserver.File{{Name: "data", Pages: pages}, {Name: "log", Type: "LOG", Pages: 500}, {Name: "fs", Type: "FILESTREAM", Pages: 70}}
	server.AddDatabase(t, sqlserver.Database{Name: "sales", Rows: hostile.Rows, Files: files})
	server.AddDatabase(t, sqlserver.Database{Name: "bare", Rows: caseNamed(t, "sqlserver", "empty database").Rows})
	server.AddDatabase(t, sqlserver.Database{Name: "archive", State: "OFFLINE"})
	server.AddLogin(t, sqlserver.Login{Name: "whalefall", Permissions: []string{"CONNECT ANY DATABASE", "VIEW ANY DEFINITION", "VIEW SERVER STATE"}})
	server.AddLogin(t, sqlserver.Login{Name: "lesser", Users: map[string]sqlserver.User{"sales": {}}})
	return emulated{
		engine: models.SQLServer, host: server.Host, port: server.Port,
		user: "whalefall", password: sqlserver.Password, lesser: "lesser",
		full: "sales", bare: "bare", barred: "sales", want: wantedCells(want.Tables),
		sizes: map[string]string{"sales": strconv.Itoa((pages + 500 + 70) * page), "archive": strconv.Itoa((1024 + 256) * page)},
		gone:  "数据库不存在: nowhere", loginNumber: 18456,
		deniedNumber: 4063, shownNumber: "SQL Server 错误号 4063", grant: "GRANT VIEW DEFINITION", deniedIs: "[data-empty=denied]",
	}
}

func emulatedOracle(t *testing.T) emulated {
	hostile := caseNamed(t, "oracle", "quoted, Chinese, 128-byte and hostile names")
	want := map[string]catalog.Want{}
	hostile.DecodeWant(t, &want)
	rows := maps.Clone(hostile.Rows)
	rows["DBA_TABLESPACES"] = append(slices.Clone(rows["DBA_TABLESPACES"]), map[string]any{"TABLESPACE_NAME": "BARE", "CONTENTS": "PERMANENT"})
	for name, bytes := range map[string]int{"USERS": 7 << 30, "BARE": 1 << 20} {
		rows["DBA_DATA_FILES"] = append(slices.Clone(rows["DBA_DATA_FILES"]), map[string]any{"TABLESPACE_NAME": name, "BYTES": bytes})
	}
	server := oracle.New(t, oracle.Options{Service: "orclpdb1.example.com", Container: "ORCLPDB1", Rows: rows})
	server.AddUser(t, oracle.User{Name: "WHALEFALL", Password: sqlserver.Password, Catalog: true})
	server.AddUser(t, oracle.User{Name: "LESSER", Password: sqlserver.Password})
	const port = 1521
	with := func(s *cli.Settings) map[models.Engine]collectors.Collector {
		elsewhere, all := oracleengine.New(nil), cli.Engines(s)
		one := oracleengine.New(nil)
		one.Connector = func(t collectors.Target) (driver.Connector, error) {
			if t.Port != port {
				return elsewhere.Connector(t)
			}
			return server.Connector(oracle.Login{
				Service: t.Database, SID: t.Options["sid"], Username: t.Username, Password: t.Password,
			}), nil
		}
		all[models.Oracle] = one
		return all
	}
	return emulated{
		engine: models.Oracle, program: cli.Program{Engines: with}, host: "127.0.0.1", port: port, service: "orclpdb1.example.com",
		user: "whalefall", password: sqlserver.Password, lesser: "lesser",
		full: "USERS", bare: "BARE", barred: "USERS", want: wantedCells(want["USERS"].Tables),
		sizes: map[string]string{"USERS": strconv.Itoa(7 << 30), "BARE": strconv.Itoa(1 << 20)},
		gone:  "Tablespace 不存在: nowhere", loginNumber: 1017,
		deniedNumber: 942, shownNumber: "ORA-00942", grant: `GRANT SELECT_CATALOG_ROLE TO "LESSER"`, deniedIs: "#toasts .toast.error .grant",
	}
}

func caseNamed(t *testing.T, engine, name string) catalog.Case {
	t.Helper()
	for _, c := range catalog.Cases(t, engine) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no case %q", name)
	return catalog.Case{}
}

// wantedCells are total, data and index of each relation as the list has them; an unknown size is empty.
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
	w.addEmulated(e, e.lesser)
	w.lesserEyes(e)
}

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
	if got, number := w.text("#test-result .error"), strconv.Itoa(e.loginNumber); !strings.Contains(got, number) || !strings.Contains(got, "登录被拒绝") {
		w.t.Errorf("a wrong password is explained by %q", got)
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

func (w *walk) syncEmulated(e emulated) {
	w.t.Helper()
	w.click("#sync-capacity")
	w.see(w.row())
	w.see("#toasts .toast.success")
	for name, want := range e.sizes {
		got := ask[string](w.browser, `(`+exactBytes+`)(document.querySelector('tr[data-database="`+name+`"] td.size'))`)
		if got != want {
			w.t.Errorf("%s has %s bytes, want %s", name, got, want)
		}
	}
	w.look("synced")
	w.quiet()
}

// refreshEmulated sees the list never collected, full, filtered out and without any table.
func (w *walk) refreshEmulated(e emulated) {
	w.t.Helper()
	w.click(w.row() + " a[data-primary]")
	w.see(`#modal [data-empty=never]`)
	w.look("never")
	w.click("#tables-refresh")
	w.see("#tables-view tbody tr")
	if shown := shownCells(w.browser); !maps.EqualFunc(shown, e.want, slices.Equal) {
		w.t.Errorf("shown %q\nwant %q", shown, e.want)
	}
	if ask[bool](w.browser, `!!document.querySelector("#incomplete")`) {
		w.t.Error("the list says that it is incomplete")
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

// shownCells are total, data and index of every row in the open list, as bytes.
func shownCells(b *browser) map[string][]string {
	rows := ask[[][]string](b, `[...document.querySelectorAll("#tables-view tbody tr")].map(r =>
		[r.dataset.schema + "." + r.dataset.table, ...[...r.cells].slice(2, 5).map(`+exactBytes+`)])`)
	cells := map[string][]string{}
	for _, r := range rows {
		cells[r[0]] = r[1:]
	}
	return cells
}

// refusal is an error as the API says it.
type refusal struct {
	Message string `json:"message"`
	Code    string `json:"message_code"`
	Extra   struct {
		Reason string `json:"reason"`
		Number int    `json:"error_number"`
		Grant  string `json:"grant"`
	} `json:"extra"`
}

// post sends a request as a script of the page would; a nil body is none.
func (w *walk) post(path string, body any) (status int, answer refusal) {
	w.t.Helper()
	var content []byte
	var err error
	if body != nil {
		if content, err = json.Marshal(body); err != nil {
			w.t.Fatal(err)
		}
	}
	text := ask[string](w.browser, fmt.Sprintf(`(() => { const x = new XMLHttpRequest(); x.open("POST", %q, false);
		x.setRequestHeader("X-CSRFToken", JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"]);
		x.setRequestHeader("Content-Type", "application/json"); x.send(%q); return x.status + " " + x.responseText })()`, path, content))
	code, rest, _ := strings.Cut(text, " ")
	if status, err = strconv.Atoi(code); err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(rest), &answer); err != nil {
		w.t.Fatalf("%s: %v in %s", path, err, rest)
	}
	return status, answer
}

func (w *walk) refusedByAPI(e emulated) {
	w.t.Helper()
	for reason, port := range map[string]int{"refused": testenv.FreePort(w.t), "timeout": testenv.SilentPort(w.t)} {
		status, answer := w.post("/api/v1/connections/actions/test", map[string]any{
			"db_type": e.engine, "host": "127.0.0.1", "port": port, "database_name": "x", "username": e.user, "password": e.password,
		})
		if status != 409 || answer.Code != "DATABASE_CONNECTION_ERROR" || answer.Extra.Reason != reason {
			w.t.Errorf("%s: %d %+v", reason, status, answer)
		}
	}
	status, answer := w.post("/api/v1/connections/actions/test", map[string]any{
		"db_type": e.engine, "host": e.host, "port": e.port, "database_name": e.service, "username": e.user, "password": "wrong",
	})
	if status != 409 || answer.Extra.Number != e.loginNumber || answer.Extra.Reason != "login" {
		w.t.Errorf("wrong password: %d %+v", status, answer)
	}
	status, answer = w.post("/api/v1"+w.instance+"/databases/nowhere/tables/sizes/actions/refresh", nil)
	if status != 409 || answer.Code != "SYNC_DATA_ERROR" || answer.Message != e.gone {
		w.t.Errorf("unknown database: %d %+v", status, answer)
	}
	w.quiet("409")
}

// lesserEyes refreshes with an account that may not see the tables: the page says what a DBA can run.
func (w *walk) lesserEyes(e emulated) {
	w.t.Helper()
	path := w.instance + "/databases/" + e.barred + "/tables"
	w.open(w.app.URL + path)
	w.see("[data-empty=never]")
	w.click("#tables-refresh")
	w.see(e.deniedIs)
	if !strings.Contains(w.text(e.deniedIs), e.grant) {
		w.t.Errorf("%q does not show %s", w.text(e.deniedIs), e.grant)
	}
	w.look("denied")
	status, answer := w.post("/api/v1"+w.instance+"/databases/"+e.bare+"/tables/sizes/actions/refresh", nil)
	if status != 409 || answer.Extra.Number != e.deniedNumber || !strings.Contains(answer.Extra.Grant, "GRANT") && !strings.Contains(answer.Extra.Grant, "CREATE USER") {
		w.t.Errorf("missing grant: %d %+v", status, answer)
	}
	if e.engine == models.Oracle { // without the role not one tablespace can be measured
		if status, answer := w.post("/api/v1"+w.instance+"/actions/sync-capacity", nil); status != 409 || answer.Extra.Number != e.deniedNumber {
			w.t.Errorf("sync without the grant: %d %+v", status, answer)
		}
	}
	w.open(w.app.URL + w.instance + "/databases/" + e.bare + "/tables")
	w.click("#tables-refresh")
	w.see("#toasts .toast.error")
	if got := w.text("#toasts .toast.error"); !strings.Contains(got, e.shownNumber) || strings.HasPrefix(got, e.shownNumber) {
		w.t.Errorf("the toast says %q", got)
	}
	w.look("refused")
	w.quiet("409")
}
