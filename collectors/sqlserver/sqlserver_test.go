package sqlserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/models"
	"whalefall/testenv/catalog"
	"whalefall/testenv/sqlserver"
	"whalefall/testenv/tds"
)

// asLogin returns the server as a target for a login.
func asLogin(server *sqlserver.Server, login string) collectors.Target {
	return collectors.Target{
		Name: "测试", Engine: models.SQLServer, Host: server.Host, Port: server.Port, TLSMode: models.TLSPrefer,
		Username: login, Password: sqlserver.Password,
	}
}

// caseNamed returns the first case of the catalog whose name has the prefix.
func caseNamed(t *testing.T, prefix string) catalog.Case {
	t.Helper()
	for _, c := range catalog.Cases(t, "sqlserver") {
		if strings.HasPrefix(c.Name, prefix) {
			return c
		}
	}
	t.Fatalf("no case %q", prefix)
	return catalog.Case{}
}

func wantOf(t *testing.T, c catalog.Case) (want catalog.Want) {
	t.Helper()
	c.DecodeWant(t, &want)
	return want
}

func TestCollector_Tables_Cases(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	users := map[string]sqlserver.User{}
	cases := catalog.Cases(t, "sqlserver")
	for _, c := range cases {
		server.AddDatabase(t, sqlserver.Database{Name: c.Name, Rows: c.Rows})
		users[c.Name] = sqlserver.User{Permissions: []string{"VIEW DEFINITION"}}
	}
	server.AddLogin(t, sqlserver.Login{Name: "stateless", Users: users})
	for _, c := range cases {
		for _, login := range []string{"sa", "stateless"} {
			if login != "sa" && !c.Fallback {
				continue
			}
			t.Run(c.Name+" as "+login, func(t *testing.T) {
				result, err := New().Tables(t.Context(), asLogin(server, login), c.Name)
				if err != nil {
					t.Fatal(err)
				}
				want := wantOf(t, c)
				wantTables(t, result, want)
				if (result.Grant == "") != want.Complete {
					t.Errorf("got grant %q, want one only if incomplete; complete %v", result.Grant, want.Complete)
				}
			})
		}
	}
}

func TestCollector_Version(t *testing.T) {
	for _, c := range []struct {
		options sqlserver.Options
		want    models.Version
	}{
		{
			sqlserver.Options{Edition: "Developer Edition (64-bit)"},
			models.Version{
				Main: "16.0", Detailed: "16.0.4125.3", Full: "SQL Server 2022 (16.0.4125.3) Developer Edition (64-bit)",
			},
		},
		{
			sqlserver.Options{Version: "11.0.7001.0"},
			models.Version{
				Main: "11.0", Detailed: "11.0.7001.0", Full: "SQL Server 2012 (11.0.7001.0) Enterprise Edition (64-bit)",
			},
		},
		{
			sqlserver.Options{Version: "12.0.2000.8", EngineEdition: sqlserver.AzureSQL},
			models.Version{Main: "12.0", Detailed: "12.0.2000.8", Full: "Azure SQL Database (12.0.2000.8)"},
		},
	} {
		server := sqlserver.Start(t, c.options)
		if c.options.EngineEdition == sqlserver.AzureSQL {
			server.AddLogin(t, sqlserver.Login{Name: "sa", Sysadmin: true})
		}
		got, err := New().Version(t.Context(), asLogin(server, "sa"))
		if err != nil || got != c.want {
			t.Errorf("got %+v, %v, want %+v", got, err, c.want)
		}
	}
	future := serverInfo{number: "99.1.2.3", edition: "Express", engine: 4}.version()
	want := models.Version{Main: "99.1", Detailed: "99.1.2.3", Full: "SQL Server (99.1.2.3) Express"}
	if future != want {
		t.Errorf("got %+v, want %+v", future, want)
	}
	managed := serverInfo{number: "12.0.2000.8", engine: engineAzureInstance}.version()
	if want := "Azure SQL Managed Instance (12.0.2000.8)"; managed.Full != want {
		t.Errorf("got %q, want %q", managed.Full, want)
	}
}

// Statements use only what the version has; the emulation knows which columns each version added.
func TestCollector_ServerVersions(t *testing.T) {
	c := caseNamed(t, "heap with a nonclustered index")
	for _, version := range []string{
		"11.0.7001.0", "12.0.6024.0", "13.0.1601.5", "14.0.1000.169", "15.0.2000.5", "16.0.4125.3", "17.0.1000.7",
	} {
		server := sqlserver.Start(t, sqlserver.Options{Version: version})
		server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: c.Rows})
		result, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
		if err != nil {
			t.Fatal(version, err)
		}
		wantTables(t, result, wantOf(t, c))
		databases, err := New().Databases(t.Context(), asLogin(server, "sa"))
		if err != nil || !databases.Complete || collectortest.DatabaseNamed(t, databases, "app").Err != nil {
			t.Errorf("%s: got %+v, %v, want a complete list with app", version, databases, err)
		}
	}
	memory := caseNamed(t, "memory-optimised tables")
	server := sqlserver.Start(t, sqlserver.Options{Version: "12.0.6024.0"})
	server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: memory.Rows})
	result, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
	if err != nil {
		t.Fatal(err)
	}
	wantTables(t, result, wantOf(t, memory))
	server.AddLogin(t, sqlserver.Login{
		Name: "stateless", Users: map[string]sqlserver.User{"app": {Permissions: []string{"VIEW DEFINITION"}}},
	})
	result, err = New().Tables(t.Context(), asLogin(server, "stateless"), "app")
	if err != nil || !result.Complete || !strings.Contains(result.Grant, "GRANT VIEW DATABASE STATE") {
		t.Errorf("got complete %v, grant %q, %v, want true, VIEW DATABASE STATE", result.Complete, result.Grant, err)
	}
}

const megabyte = 1 << 20

// newFixture starts a server with a database in every state.
func newFixture(t *testing.T, options sqlserver.Options) *sqlserver.Server {
	t.Helper()
	server := sqlserver.Start(t, options)
	files := []sqlserver.File{
		{Name: "rows", Pages: 256}, {Name: "more", Pages: 128}, {Name: "log", Type: "LOG", Pages: 64},
	}
	filestream := append(slices.Clone(files), sqlserver.File{Name: "documents", Type: "FILESTREAM", Pages: 512})
	for _, d := range []sqlserver.Database{
		{Name: "app", Files: files},
		{Name: "documents", Files: filestream},
		{Name: "SSISDB", Files: files},
		{Name: "off", Files: files, State: "OFFLINE"},
		{Name: "off with documents", Files: filestream, State: "OFFLINE"},
		{Name: "restoring", Files: files, State: "RESTORING"},
		{Name: "recovering", Files: files, State: "RECOVERING"},
		{Name: "pending", Files: files, State: "RECOVERY_PENDING"},
		{Name: "suspect", Files: files, State: "SUSPECT"},
		{Name: "emergency", Files: files, State: "EMERGENCY"},
		{Name: "single", Files: files, SingleUser: true},
		{Name: "unreadable", Files: files, Replica: sqlserver.Unreadable},
		{Name: "readable", Files: files, Replica: sqlserver.ReadIntentOnly},
		{Name: "snapshot", Files: files, SnapshotOf: "app"},
		{Name: "huge", Files: []sqlserver.File{{Name: "rows", Pages: 3_000_000_000}, {Name: "log", Type: "LOG"}}},
	} {
		server.AddDatabase(t, d)
	}
	return server
}

func TestCollector_Databases_States(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	result, err := New().Databases(t.Context(), asLogin(server, "sa"))
	if err != nil {
		t.Fatal(err)
	}
	if !result.Complete || result.Grant != "" {
		t.Errorf("got complete %v, grant %q, want true, none", result.Complete, result.Grant)
	}
	for _, c := range []struct {
		name      string
		data, log int64 // MiB; -1 is unknown
		key       string
	}{
		{"app", 3, 0, ""},
		{"documents", 7, 0, ""},
		{"SSISDB", 3, 0, ""},
		{"off", 3, 0, keyOffline},
		{"off with documents", -1, 0, keyOffline},
		{"restoring", 3, 0, keyRestoring},
		{"recovering", 3, 0, keyRecovering},
		{"pending", 3, 0, keySuspect},
		{"suspect", 3, 0, keySuspect},
		{"emergency", 3, 0, keyEmergency},
		{"single", 3, 0, keySingleUser},
		{"unreadable", 3, 0, keySecondary},
		{"readable", 3, 0, ""},
		{"snapshot", -1, -1, keySnapshot},
		{"huge", 3_000_000_000 / 128, 0, ""},
	} {
		d := collectortest.DatabaseNamed(t, result, c.name)
		if got := keyOf(d.Err); got != c.key {
			t.Errorf("%s: got key %q, want %q", c.name, got, c.key)
		}
		want := map[string]*int64{"data": mebibytes(c.data), "log": nil, "total": nil}
		if c.log >= 0 {
			log := int64(megabyte / 2)
			if c.name == "huge" {
				log = 0
			}
			want["log"], want["total"] = &log, collectors.AddKnown(want["data"], &log)
		}
		for part, got := range map[string]*int64{"data": d.Data, "log": d.Log, "total": d.Total} {
			if collectortest.Text(got) != collectortest.Text(want[part]) {
				t.Errorf("%s: got %s %s, want %s", c.name, part, collectortest.Text(got), collectortest.Text(want[part]))
			}
		}
		if d.IsSystem != (c.name == "SSISDB") {
			t.Errorf("%s: got system database %v, want %v", c.name, d.IsSystem, c.name == "SSISDB")
		}
	}
	for _, name := range []string{"master", "tempdb", "model", "msdb"} {
		if !collectortest.DatabaseNamed(t, result, name).IsSystem {
			t.Errorf("%s is not a system database", name)
		}
	}
}

func keyOf(e *models.Error) string {
	if e == nil {
		return ""
	}
	return e.Key
}

func mebibytes(n int64) *int64 {
	if n < 0 {
		return nil
	}
	n *= megabyte
	return &n
}

// An account with access to a single database still gets the list, and the grants that it lacks.
func TestCollector_Databases_LimitedAccount(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	server.AddLogin(t, sqlserver.Login{Name: "a]b", Users: map[string]sqlserver.User{"app": {}}})
	result, err := New().Databases(t.Context(), asLogin(server, "a]b"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "USE [master]; GRANT CONNECT ANY DATABASE TO [a]]b];"; !result.Complete || result.Grant != want {
		t.Errorf("got complete %v, grant %q, want true, %q", result.Complete, result.Grant, want)
	}
	if app := collectortest.DatabaseNamed(t, result, "app"); app.Err != nil || app.Total == nil {
		t.Errorf("app: got %+v, want a size", app)
	}
	denied := collectortest.DatabaseNamed(t, result, "documents")
	want := "USE [documents]; CREATE USER [a]]b] FOR LOGIN [a]]b];"
	if keyOf(denied.Err) != keyNoAccess || denied.Err.Grant != want || denied.Total != nil {
		t.Errorf("documents: got %+v, %v, want key %q, grant %q, no size", denied, denied.Err, keyNoAccess, want)
	}
	off := collectortest.DatabaseNamed(t, result, "off")
	if keyOf(off.Err) != keyOffline || off.Total != nil || off.Log != nil {
		t.Errorf("off: got %+v, %v, want key %q, no size", off, off.Err, keyOffline)
	}

	server.AddLogin(t, sqlserver.Login{Name: "a]b", Users: map[string]sqlserver.User{"app": {}}, OwnDatabases: true})
	result, err = New().Databases(t.Context(), asLogin(server, "a]b"))
	want = "USE [master]; GRANT VIEW ANY DATABASE TO [a]]b];"
	if err != nil || result.Complete || result.Grant != want {
		t.Errorf("got complete %v, grant %q, %v, want false, %q", result.Complete, result.Grant, err, want)
	}
	_, err = New().Tables(t.Context(), asLogin(server, "a]b"), "documents")
	collectortest.WantError(t, err, models.CodeCollection, "collect.sqlserver.cannot_open")
}

func TestCollector_Databases_GrantBefore2014(t *testing.T) {
	server := newFixture(t, sqlserver.Options{Version: "11.0.7001.0"})
	server.AddLogin(t, sqlserver.Login{Name: "w", Users: map[string]sqlserver.User{"app": {}}})
	result, err := New().Databases(t.Context(), asLogin(server, "w"))
	want := "USE [documents]; CREATE USER [w] FOR LOGIN [w]; "
	if err != nil || !strings.Contains(result.Grant, want) {
		t.Errorf("got grant %q, %v, want %q in it", result.Grant, err, want)
	}
}

func TestCollector_Tables_ClosedDatabases(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	server.AddLogin(t, sqlserver.Login{Name: "w", Users: map[string]sqlserver.User{"app": {}}})
	for _, c := range []struct{ database, login, key string }{
		{"off", "sa", keyOffline},
		{"restoring", "sa", keyRestoring},
		{"recovering", "sa", keyRecovering},
		{"suspect", "sa", keySuspect},
		{"emergency", "w", keyEmergency},
		{"single", "sa", keySingleUser},
		{"unreadable", "sa", keySecondary},
		{"snapshot", "sa", keySnapshot},
		{"documents", "w", keyNoAccess},
		{"nowhere", "w", collectors.KeyDatabaseGone},
		{"APP", "sa", collectors.KeyDatabaseGone},
		{"app ", "sa", collectors.KeyDatabaseGone},
	} {
		_, err := New().Tables(t.Context(), asLogin(server, c.login), c.database)
		collectortest.WantError(t, err, models.CodeCollection, c.key)
		e := models.AsError(err)
		if c.key != collectors.KeyDatabaseGone && e.Args["Name"] != c.database {
			t.Errorf("got name %v, want %s", e.Args["Name"], c.database)
		}
		if (e.Grant != "") != (c.key == keyNoAccess) {
			t.Errorf("%s: got grant %v, want one only for key %q", c.database, e.Grant, keyNoAccess)
		}
	}
}

func TestCollector_AzureWithoutMaster(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{EngineEdition: sqlserver.AzureSQL, Version: "12.0.2000.8"})
	server.AddDatabase(t, sqlserver.Database{Name: "app"})
	server.AddDatabase(t, sqlserver.Database{Name: "other"})
	server.AddLogin(t, sqlserver.Login{Name: "w", Users: map[string]sqlserver.User{"app": {}}})
	target := asLogin(server, "w")
	_, err := New().Version(t.Context(), target)
	collectortest.WantError(t, err, models.CodeCollection, "collect.sqlserver.no_master")
	target.Database = "app"
	result, err := New().Databases(t.Context(), target)
	if err != nil || result.Complete || collectortest.DatabaseNamed(t, result, "app").Total == nil {
		t.Errorf("got %+v, %v, want an incomplete list with the size of app", result, err)
	}
	_, err = New().Tables(t.Context(), target, "app")
	if err != nil {
		t.Error(err)
	}
	_, err = New().Tables(t.Context(), target, "other")
	collectortest.WantError(t, err, models.CodeCollection, keyNoAccess)
	if got, want := models.AsError(err).Grant, "CREATE USER [w] FOR LOGIN [w];"; got != want {
		t.Errorf("got grant %v, want %q", got, want)
	}
}

// In Azure SQL Database, files are read in each database, never for all of them at once.
func TestCollector_Azure(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{EngineEdition: sqlserver.AzureSQL, Version: "12.0.2000.8"})
	c := caseNamed(t, "a bit of everything")
	server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: c.Rows})
	server.AddDatabase(t, sqlserver.Database{Name: "secondary", Replica: sqlserver.Unreadable})
	server.AddDatabase(t, sqlserver.Database{Name: "strange"})
	server.FailLogin(func(login tds.Login) error {
		if login.Database == "strange" {
			return sqlserver.Message(codeLoginFailed, login.User)
		}
		return nil
	})
	result, err := New().Databases(t.Context(), asLogin(server, "sa"))
	if err != nil || collectortest.DatabaseNamed(t, result, "app").Total == nil {
		t.Errorf("got %+v, %v, want the size of app", result, err)
	}
	if got := keyOf(collectortest.DatabaseNamed(t, result, "secondary").Err); got != keySecondary {
		t.Errorf("secondary: got key %q, want %q", got, keySecondary)
	}
	strange := collectortest.DatabaseNamed(t, result, "strange").Err
	const grant = "CREATE USER [sa] FOR LOGIN [sa];"
	if keyOf(strange) != keyNoAccess || strange.Grant != grant || result.Grant != grant {
		t.Errorf("strange: got %v, grant %q, want key %q, grant %q", strange, result.Grant, keyNoAccess, grant)
	}
	tables, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
	if err != nil {
		t.Fatal(err)
	}
	wantTables(t, tables, wantOf(t, c))
	for _, q := range server.Queries() {
		if slices.Contains(q.Views, "sys.master_files") {
			t.Errorf("sent %q, which Azure does not have", q.Text)
		}
	}
}

// The state and access of a database that is created or dropped meanwhile are NULL.
func TestCollector_Databases_UnknownState(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	server.AddDatabase(t, sqlserver.Database{Name: "coming", Properties: map[string]any{"state": nil, "user_access": nil}})
	server.AddDatabase(t, sqlserver.Database{Name: "copying", Properties: map[string]any{"state": 8}})
	server.AddDatabase(t, sqlserver.Database{Name: "closed", Properties: map[string]any{"user_access": nil}})
	server.AddLogin(t, sqlserver.Login{Name: "w"})
	result, err := New().Databases(t.Context(), asLogin(server, "w"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"coming": keyTransition, "copying": keyTransition, "closed": keyNoAccess} {
		if got := keyOf(collectortest.DatabaseNamed(t, result, name).Err); got != want {
			t.Errorf("%s: got key %q, want %q", name, got, want)
		}
	}
}

// Hidden tables make the result incomplete, and its grant has only the missing permissions.
func TestCollector_Tables_Hidden(t *testing.T) {
	c := caseNamed(t, "a bit of everything")
	server := sqlserver.Start(t, sqlserver.Options{Version: "15.0.2000.5"})
	server.AddDatabase(t, sqlserver.Database{Name: "a]b", Rows: c.Rows})
	const names = "USE [a]]b]; IF DATABASE_PRINCIPAL_ID(N'o''[w]') IS NULL CREATE USER [o'[w]]] " +
		"FOR LOGIN [o'[w]]]; GRANT VIEW DEFINITION TO [o'[w]]];"
	for _, step := range []struct {
		user  sqlserver.User
		grant string
	}{
		{sqlserver.User{}, names + " GRANT VIEW DATABASE STATE TO [o'[w]]];"},
		{sqlserver.User{Permissions: []string{"VIEW DATABASE STATE"}}, names},
	} {
		server.AddLogin(t, sqlserver.Login{Name: "o'[w]", Users: map[string]sqlserver.User{"a]b": step.user}})
		result, err := New().Tables(t.Context(), asLogin(server, "o'[w]"), "a]b")
		if err != nil {
			t.Fatal(err)
		}
		if result.Complete || result.Hidden == 0 || len(result.Tables) != 0 || result.Grant != step.grant {
			t.Errorf("got complete %v, %d hidden, %d listed, grant %q, want all hidden, grant %q",
				result.Complete, result.Hidden, len(result.Tables), result.Grant, step.grant)
		}
		if result.Residual == nil || *result.Residual == 0 {
			t.Errorf("got residual %s, want the bytes of the hidden tables", collectortest.Text(result.Residual))
		}
	}
	got := serverInfo{major: release2022}.grantState(collectors.Target{Username: "w"})
	if want := "GRANT VIEW DATABASE PERFORMANCE STATE TO [w];"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Each session has its limits set, and no statement contains the name of a database.
func TestCollector_SessionSettings(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	release := server.Block(t, "sys.schemas")
	done := make(chan error, 1)
	go func() {
		_, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
		done <- err
	}()
	collectortest.Eventually(t, "no statement is blocked", func() bool { return server.Waiting() == 1 })
	got := server.Connections()
	want := sqlserver.Connection{
		Login: "sa", Database: "app", App: "whalefall", ReadOnlyIntent: true,
		LockTimeout: lockWait, DeadlockPriority: "LOW", Isolation: "READ UNCOMMITTED",
	}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got connections %+v, want %+v", got, want)
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := New().Databases(t.Context(), asLogin(server, "sa")); err != nil {
		t.Error(err)
	}
	for _, q := range server.Queries() {
		if strings.Contains(q.Text, "app") || strings.Contains(q.Text, "..") || q.Procedure != "" || len(q.Params) > 0 {
			t.Errorf("sent %q %q %v", q.Text, q.Procedure, q.Params)
		}
	}
}

func TestCollector_Tables_LockedCatalog(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	server.Block(t, "sys.objects")
	started := time.Now()
	_, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
	collectortest.WantError(t, err, models.CodeCollection, "collect.sqlserver.locked")
	if elapsed := time.Since(started); elapsed < lockWait || elapsed > 2*lockWait {
		t.Errorf("returned after %v, want %v to %v", elapsed, lockWait, 2*lockWait)
	}
}

// A statement that exceeds the timeout is also cancelled on the server.
func TestCollector_Tables_StatementTimeout(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	server.Block(t, "sys.partitions")
	impatient := New()
	impatient.statementTimeout = lockWait / 10 // before the wait for the lock ends
	_, err := impatient.Tables(t.Context(), asLogin(server, "sa"), "app")
	collectortest.WantError(t, err, models.CodeTimeout, "")
	collectortest.Eventually(t, "the statement still runs", func() bool { return server.Waiting() == 0 })
}

type cannedAnswer struct {
	number      int32
	reason, key string
}

// answers are error numbers and how they are reported: as unreachable for a reason, or with a key.
var answers = []cannedAnswer{
	{number: 18456, reason: collectors.ReasonLogin},
	{number: 18470, reason: collectors.ReasonLogin},
	{number: 18486, reason: collectors.ReasonLogin},
	{number: 18487, reason: collectors.ReasonLogin},
	{number: 18488, reason: collectors.ReasonLogin},
	{number: 18452, reason: collectors.ReasonLogin},
	{number: 18450, reason: collectors.ReasonLogin},
	{number: 47073, reason: collectors.ReasonLogin},
	{number: 40532, reason: collectors.ReasonLogin},
	{number: 40615, reason: collectors.ReasonLogin},
	{number: 40914, reason: collectors.ReasonLogin},
	{number: 10928, reason: collectors.ReasonBusy},
	{number: 10929, reason: collectors.ReasonBusy},
	{number: 40501, reason: collectors.ReasonBusy},
	{number: 10936, reason: collectors.ReasonBusy},
	{number: 18461, reason: collectors.ReasonBusy},
	{number: 49918, reason: collectors.ReasonBusy},
	{number: 49919, reason: collectors.ReasonBusy},
	{number: 49920, reason: collectors.ReasonBusy},
	{number: 17809, reason: collectors.ReasonBusy},
	{number: 17187, reason: collectors.ReasonStarting},
	{number: 18451, reason: collectors.ReasonStarting},
	{number: 18401, reason: collectors.ReasonStarting},
	{number: 17142, reason: collectors.ReasonStarting},
	{number: 6005, reason: collectors.ReasonStarting},
	{number: 40197, reason: collectors.ReasonStarting},
	{number: 40613, reason: collectors.ReasonStarting},
	{number: 229, key: keyDenied},
	{number: 262, key: keyDenied},
	{number: 297, key: keyDenied},
	{number: 300, key: keyDenied},
	{number: 911, key: collectors.KeyDatabaseGone},
	{number: 916, key: keyNoAccess},
	{number: 904, key: keyRecovering},
	{number: 948, key: keySuspect},
	{number: 956, key: keyReplica},
	{number: 921, key: keyRecovering},
	{number: 922, key: keyRecovering},
	{number: 923, key: keySingleUser},
	{number: 924, key: keySingleUser},
	{number: 926, key: keySuspect},
	{number: 927, key: keyRestoring},
	{number: 942, key: keyOffline},
	{number: 945, key: keySuspect},
	{number: 946, key: keySuspect},
	{number: 952, key: keyTransition},
	{number: 954, key: keySecondary},
	{number: 955, key: keyReplica},
	{number: 976, key: keySecondary},
	{number: 978, key: keySecondary},
	{number: 979, key: keySecondary},
	{number: 982, key: keySecondary},
	{number: 983, key: keyReplica},
	{number: 988, key: keyReplica},
	{number: 208, key: "collect.sqlserver.unsupported"},
	{number: 701, key: "collect.sqlserver.exhausted"},
	{number: 8645, key: "collect.sqlserver.exhausted"},
	{number: 596, key: "collect.sqlserver.interrupted"},
	{number: 1205, key: "collect.sqlserver.deadlock"},
	{number: 1222, key: "collect.sqlserver.locked"},
	{number: 12345, key: "collect.sqlserver.failed"},
}

// Errors are classified by their numbers alone, as their texts are in the language of the server.
func TestCollector_Tables_ErrorNumbers(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	var number int32
	server.Fail(func(q sqlserver.Query) error {
		if number != 0 && slices.Contains(q.Views, "sys.schemas") {
			class := uint8(14)
			if number == 596 {
				class = 21 // closes the connection
			}
			return tds.Error{Number: number, Class: class, State: 1, Message: "数据库 'app': login TLS prelogin denied"}
		}
		return nil
	})
	for _, c := range answers {
		number = c.number
		_, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
		if c.reason != "" {
			collectortest.WantUnreachable(t, err, c.reason)
		} else {
			collectortest.WantError(t, err, models.CodeCollection, c.key)
		}
		var typed mssql.Error
		e := models.AsError(err)
		if e.Extra["error_number"] != c.number || !errors.As(err, &typed) || typed.Number != c.number {
			t.Errorf("got error number %v of %v, want %d", e.Extra["error_number"], err, c.number)
		}
		if needs := c.key == keyDenied || c.key == keyNoAccess; needs != (e.Grant != "") {
			t.Errorf("%d: got grant %v, want one: %v", c.number, e.Grant, needs)
		}
	}
	for number := range meanings {
		if !slices.ContainsFunc(answers, func(a cannedAnswer) bool { return a.number == number }) {
			t.Errorf("%d is missing from the answers", number)
		}
	}
}

// The same numbers are classified the same way when they are sent during login.
func TestCollector_LoginErrorNumbers(t *testing.T) {
	server := sqlserver.Start(t, sqlserver.Options{})
	server.AddDatabase(t, sqlserver.Database{Name: "app"})
	var number int32
	server.FailLogin(func(login tds.Login) error {
		if number == 0 || login.Database != "app" {
			return nil
		}
		return tds.Errors{
			{Number: number, Class: 14, State: 1, Message: "x"},
			{Number: codeCannotOpen, Class: 11, State: 1, Message: "y"},
			{Number: codeLoginFailed, Class: 14, State: 1, Message: "z"},
		}
	})
	for _, c := range answers {
		if c.number == codeLoginFailed || c.number == 12345 { // no more specific than the numbers sent with them
			continue
		}
		number = c.number
		_, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
		if c.reason != "" {
			collectortest.WantUnreachable(t, err, c.reason)
		} else {
			collectortest.WantError(t, err, models.CodeCollection, c.key)
		}
		if got := models.AsError(err).Extra["error_number"]; got != c.number {
			t.Errorf("got error number %v, want %d", got, c.number)
		}
		result, err := New().Databases(t.Context(), asLogin(server, "sa"))
		if err != nil {
			t.Errorf("%d for one database: got %v, want a list", c.number, err)
			continue
		}
		at := slices.IndexFunc(result.Databases, func(d models.DatabaseSize) bool { return d.Name == "app" })
		if gone := c.key == collectors.KeyDatabaseGone; gone != (at < 0) || !gone && result.Databases[at].Err == nil {
			t.Errorf("%d: got app at %d of the list, want it missing %v, else with an error", c.number, at, gone)
		}
	}
}

// When a database refuses the read intent of a connection, the opposite is tried.
func TestCollector_ReadIntent(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	server.FailLogin(func(login tds.Login) error {
		if login.Database == "app" && login.ReadOnlyIntent {
			return tds.Error{Number: codeNoReadIntent, Class: 14, State: 1, Message: "x"}
		}
		return nil
	})
	for _, name := range []string{"app", "readable"} {
		if _, err := New().Tables(t.Context(), asLogin(server, "sa"), name); err != nil {
			t.Error(err)
		}
		target := asLogin(server, "sa")
		target.Database = name
		if _, err := New().Version(t.Context(), target); err != nil {
			t.Error(err)
		}
	}
}

func TestCollector_TLSModes(t *testing.T) {
	const refused = collectors.ReasonTLS
	for _, c := range []struct {
		offers tds.Encryption
		mode   models.TLSMode
		ca     bool
		host   string
		reason string
	}{
		{offers: tds.Plain, mode: models.TLSDisable},
		{offers: tds.Plain, mode: models.TLSPrefer},
		{offers: tds.Plain, mode: models.TLSRequire, reason: refused},
		{offers: tds.Plain, mode: models.TLSVerifyFull, ca: true, reason: refused},
		{offers: tds.LoginOnly, mode: models.TLSDisable},
		{offers: tds.LoginOnly, mode: models.TLSPrefer},
		{offers: tds.LoginOnly, mode: models.TLSRequire},
		{offers: tds.Full, mode: models.TLSDisable, reason: refused},
		{offers: tds.Full, mode: models.TLSPrefer},
		{offers: tds.Full, mode: models.TLSRequire},
		{offers: tds.Full, mode: models.TLSVerifyCA, ca: true},
		{offers: tds.Full, mode: models.TLSVerifyCA, reason: refused},
		{offers: tds.Full, mode: models.TLSVerifyFull, ca: true},
		{offers: tds.Full, mode: models.TLSVerifyFull, reason: refused},
		{offers: tds.Full, mode: models.TLSVerifyFull, ca: true, host: "127.0.0.2", reason: refused},
		{offers: tds.Full, mode: models.TLSVerifyCA, ca: true, host: "127.0.0.2"},
	} {
		t.Run(fmt.Sprintf("%d %s %v %s", c.offers, c.mode, c.ca, c.host), func(t *testing.T) {
			server := sqlserver.Start(t, sqlserver.Options{Encryption: c.offers})
			target := asLogin(server, "sa")
			target.TLSMode = c.mode
			if c.ca && server.CAFile != "" {
				pem, err := os.ReadFile(server.CAFile)
				if err != nil {
					t.Fatal(err)
				}
				target.Options = map[string]string{models.OptionCACertificate: string(pem)}
			}
			if c.host != "" {
				forward(t, &target, c.host)
			}
			_, err := New().Version(t.Context(), target)
			if c.reason != "" {
				collectortest.WantUnreachable(t, err, c.reason)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	target := collectors.Target{
		Name: "x", Host: "127.0.0.1", Port: 1, TLSMode: models.TLSVerifyFull,
		Options: map[string]string{models.OptionCACertificate: "no PEM"},
	}
	_, err := New().Version(t.Context(), target)
	collectortest.WantError(t, err, models.CodeCollection, "collect.ca_certificate")
}

// forward points the target to a forwarder at host, an address that its certificate is not for.
func forward(t *testing.T, target *collectors.Target, host string) {
	t.Helper()
	to := net.JoinHostPort(target.Host, fmt.Sprint(target.Port))
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var work sync.WaitGroup
		defer work.Wait()
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				return
			}
			for _, ends := range [][2]net.Conn{{client, server}, {server, client}} {
				work.Go(func() {
					_, _ = io.Copy(ends[0], ends[1])
					_ = ends[0].Close()
				})
			}
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	target.Host, target.Port = host, listener.Addr().(*net.TCPAddr).Port
}

func TestCollector_Version_OtherProtocols(t *testing.T) {
	t.Parallel()

	for _, c := range []struct{ name, greeting string }{
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n"},
		{"MySQL", "J\x00\x00\x00\x0a8.0.36\x00"},
		{"garbage that begins like a reply", "\x04\x01\xff\xff\x00\x00\x01\x00"},
		{"reply without options", "\x04\x01\x00\x09\x00\x00\x01\x00\xff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address := collectortest.Listener(t, c.greeting)
			_, err := New().Version(t.Context(), collectors.Target{
				Name: "t", Host: address.IP.String(), Port: address.Port, Username: "u", Password: "p", TLSMode: models.TLSPrefer,
			})
			collectortest.WantUnreachable(t, err, collectors.ReasonProtocol)
		})
	}
}

func TestCollector_Version_UnknownHost(t *testing.T) {
	_, err := New().Version(t.Context(), collectors.Target{
		Name: "t", Host: "no-such-host.invalid", Port: 1433, Username: "u", Password: "p",
	})
	collectortest.WantUnreachable(t, err, collectors.ReasonUnresolved)
}

// The opposite read intent is tried if the server routed us to a replica that does not answer.
func TestOtherIntent(t *testing.T) {
	t.Parallel()

	if !otherIntent(&net.OpError{Op: "dial"}, true, true) {
		t.Error("routed without an answer: got false, want true")
	}
	if otherIntent(&net.OpError{Op: "dial"}, true, false) {
		t.Error("not routed: got true, want false")
	}
	if otherIntent(mssql.Error{Number: codeLoginFailed}, true, true) {
		t.Error("login failed: got true, want false")
	}
}

// A database that is dropped after it was listed is left out.
func TestCollector_Databases_DroppedMeanwhile(t *testing.T) {
	server := newFixture(t, sqlserver.Options{})
	dropped := false
	server.Fail(func(q sqlserver.Query) error {
		if !dropped && slices.Contains(q.Views, "sys.database_files") {
			dropped = true
			server.DropDatabase(t, "huge")
		}
		return nil
	})
	result, err := New().Databases(t.Context(), asLogin(server, "sa"))
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(result.Databases, func(d models.DatabaseSize) bool { return d.Name == "huge" }) {
		t.Error("huge is listed, although it was dropped")
	}
}

// A table that is dropped between two statements does not count as hidden.
func TestCollector_Tables_DroppedMeanwhile(t *testing.T) {
	c := caseNamed(t, "hidden objects")
	server := sqlserver.Start(t, sqlserver.Options{})
	server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: c.Rows})
	readings := 0
	server.Fail(func(q sqlserver.Query) error {
		if q.Text == statements["partitions"] {
			if readings++; readings == 2 {
				server.AddDatabase(t, sqlserver.Database{Name: "app", Rows: caseNamed(t, "empty database").Rows})
			}
		}
		return nil
	})
	result, err := New().Tables(t.Context(), asLogin(server, "sa"), "app")
	if err != nil || !result.Complete || result.Hidden != 0 || readings != 2 {
		t.Errorf("got %+v, %v after %d readings, want a complete result after 2", result, err, readings)
	}
}

func TestCollector_Version_CancelledWhileConnecting(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(100*time.Millisecond, cancel)
	defer timer.Stop()
	started := time.Now()
	_, err = New().Version(ctx, collectors.Target{
		Name: "t", Host: "127.0.0.1", Port: silent.Addr().(*net.TCPAddr).Port, Username: "u", Password: "p",
	})
	collectortest.WantError(t, err, models.CodeCollection, "collect.cancelled")
	if elapsed := time.Since(started); elapsed > time.Second {
		t.Errorf("returned after %v, want at most 1s", elapsed)
	}
}
