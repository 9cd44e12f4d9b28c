package tds_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mssql "github.com/microsoft/go-mssqldb"

	"whalefall/testenv"
	"whalefall/testenv/tds"
)

// fake is a handler that answers queries by their text as a test says, and else by echo.
type fake struct {
	mu      sync.Mutex
	logins  []tds.Login
	queries []tds.Query
	resets  int
	open    int
	answers map[string]func(ctx context.Context, q tds.Query, w *tds.Writer) error
}

func (f *fake) Login(_ context.Context, login tds.Login) (tds.Welcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logins = append(f.logins, login)
	if login.Password != "p'ä%订\"" {
		message := "Login failed for user '" + login.User + "'."
		return tds.Welcome{}, tds.Error{Number: 18456, Class: 14, State: 1, Message: message, Line: 1}
	}
	f.open++
	welcome := tds.Welcome{Session: (*fakeSession)(f), Database: login.Database}
	if login.Database == "gone" {
		welcome.Database = "master"
		welcome.Errors = tds.Errors{
			{Number: 4063, Class: 11, State: 1, Message: "Using the default database instead.", Line: 1},
		}
	}
	return welcome, nil
}

type fakeSession fake

func (s *fakeSession) Reset() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resets++
	return "master"
}

func (s *fakeSession) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

func (s *fakeSession) Query(ctx context.Context, q tds.Query, w *tds.Writer) error {
	s.mu.Lock()
	s.queries = append(s.queries, q)
	answer := s.answers[q.Text]
	s.mu.Unlock()
	if answer != nil {
		return answer(ctx, q, w)
	}
	return echo(ctx, q, w)
}

// echo answers with the parameters as one row of text.
func echo(ctx context.Context, q tds.Query, w *tds.Writer) error {
	var columns []tds.Column
	var values []any
	for _, p := range q.Params {
		columns = append(columns, tds.Column{Name: p.Name, Type: tds.NVarChar})
		values = append(values, fmt.Sprintf("%T %v", p.Value, p.Value))
	}
	if err := w.Columns(columns...); err != nil {
		return err
	}
	if err := w.Row(ctx, values...); err != nil {
		return err
	}
	w.Done(1)
	return nil
}

// listen opens a listener for a server.
func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// start serves f and returns a function that opens a pool with further settings of the driver.
func start(t testing.TB, f *fake, options tds.Options) (open func(settings string) *sql.DB) {
	t.Helper()
	listener := listen(t)
	server := tds.Serve(listener, f, options)
	t.Cleanup(server.Close)
	return func(settings string) *sql.DB {
		query, err := url.ParseQuery(settings)
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range map[string]string{"database": "订单", "app name": "test", "encrypt": "disable"} {
			if !query.Has(key) {
				query.Set(key, value)
			}
		}
		address := url.URL{
			Scheme: "sqlserver", User: url.UserPassword("sa", "p'ä%订\""), Host: listener.Addr().String(),
			RawQuery: query.Encode(),
		}
		db, err := sql.Open("sqlserver", address.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	t.Cleanup(cancel)
	return ctx
}

func TestServer_Encryption(t *testing.T) {
	t.Parallel()
	own, ca := testenv.Certificate(t)
	trusted := url.Values{"certificate": {ca}}.Encode()
	for _, test := range []struct {
		name     string
		offered  tds.Encryption
		settings string
		ok       bool
	}{
		{"plain, not wanted", tds.Plain, "encrypt=disable", true},
		{"plain, not needed", tds.Plain, "encrypt=false", true},
		{"plain, wanted", tds.Plain, "encrypt=true&TrustServerCertificate=true", false},
		{"login only, not wanted", tds.LoginOnly, "encrypt=disable", true},
		{"login only, not needed", tds.LoginOnly, "encrypt=false&TrustServerCertificate=true", true},
		{"login only, wanted", tds.LoginOnly, "encrypt=true&" + trusted, true},
		{"full, not wanted", tds.Full, "encrypt=disable", false},
		{"full, not needed", tds.Full, "encrypt=false&TrustServerCertificate=true", true},
		{"full, wanted", tds.Full, "encrypt=true&" + trusted, true},
		{"full, not trusted", tds.Full, "encrypt=true", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			db := start(t, f, tds.Options{Encryption: test.offered, Certificate: own})(test.settings)
			var got string
			err := db.QueryRowContext(within(t), "echo @p1", strings.Repeat("订单", 5000)).Scan(&got)
			if (err == nil) != test.ok {
				t.Fatal(err)
			}
			if want := "string " + strings.Repeat("订单", 5000); test.ok && got != want {
				t.Errorf("%d characters came back, sent %d", len(got), len(want))
			}
		})
	}
}

func TestServer_Login(t *testing.T) {
	t.Parallel()
	f := &fake{}
	open := start(t, f, tds.Options{Version: "16.0.4125.3"})
	db := open("app name=whale's app&workstation id=host1&ApplicationIntent=ReadOnly")
	if err := db.PingContext(within(t)); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	want := []tds.Login{{
		User: "sa", Password: "p'ä%订\"", Database: "订单", Host: "host1", App: "whale's app", Server: "127.0.0.1",
		ReadOnlyIntent: true,
	}}
	if diff := cmp.Diff(want, f.logins); diff != "" {
		t.Error(diff)
	}
}

// TestServer_LoginWithError covers a login that the server accepts with an error, which the driver treats as a failure.
func TestServer_LoginWithError(t *testing.T) {
	t.Parallel()
	db := start(t, &fake{}, tds.Options{})("database=gone")
	var got mssql.Error
	if err := db.PingContext(within(t)); !errors.As(err, &got) || got.Number != 4063 || got.Class != 11 {
		t.Errorf("got %v", err)
	}
}

func TestServer_RefusedLogin(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	server := tds.Serve(listener, &fake{}, tds.Options{})
	t.Cleanup(server.Close)
	db, err := sql.Open("sqlserver", "sqlserver://sa:wrong@"+listener.Addr().String()+"?encrypt=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var got mssql.Error
	if err := db.PingContext(within(t)); !errors.As(err, &got) || got.Number != 18456 || got.Class != 14 {
		t.Errorf("got %v", err)
	}
}

func TestQuery_Parameters(t *testing.T) {
	t.Parallel()
	db := start(t, &fake{}, tds.Options{})("")
	at := time.Date(2024, 2, 29, 23, 59, 58, 123456700, time.FixedZone("", 8*3600))
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, "<nil> <nil>"},
		{"", "string "},
		{"a]b 订单 🐳", "string a]b 订单 🐳"},
		{int64(-1 << 63), "int64 -9223372036854775808"},
		{int32(-5), "int64 -5"},
		{int16(-5), "int64 -5"},
		{byte(200), "int64 200"},
		{sql.NullInt64{}, "<nil> <nil>"},
		{true, "bool true"},
		{false, "bool false"},
		{1.5, "float64 1.5"},
		{float32(1.5), "float64 1.5"},
		{[]byte{0, 255}, "[]uint8 [0 255]"},
		{[]byte{}, "[]uint8 []"},
		{at, "time.Time 2024-02-29 23:59:58.1234567 +0800 +0800"},
		{mssql.NVarCharMax("订"), "string 订"},
		{sql.NullString{}, "<nil> <nil>"},
	} {
		var got string
		if err := db.QueryRowContext(within(t), "echo @p1", test.value).Scan(&got); err != nil || got != test.want {
			t.Errorf("%T %v: %q, %v", test.value, test.value, got, err)
		}
	}
}

func TestQuery_NamedParametersAndProcedures(t *testing.T) {
	t.Parallel()
	f := &fake{}
	db := start(t, f, tds.Options{})("")
	var got string
	if err := db.QueryRowContext(within(t), "echo @name", sql.Named("name", "x")).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRowContext(within(t), "sys.sp_spaceused", sql.Named("objname", "t")).Scan(&got); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	want := []tds.Query{
		{Text: "echo @name", Params: []tds.Param{{Name: "@name", Value: "x"}}},
		{Procedure: "sys.sp_spaceused", Params: []tds.Param{{Name: "@objname", Value: "t"}}},
	}
	if diff := cmp.Diff(want, f.queries); diff != "" {
		t.Error(diff)
	}
}

// typed holds a column of each type, a value for it, and the value that the driver returns.
var typed = []struct {
	column tds.Column
	value  any
	want   any
}{
	{tds.Column{Type: tds.BigInt}, int64(1) << 62, int64(1) << 62},
	{tds.Column{Type: tds.Int}, -7, int64(-7)},
	{tds.Column{Type: tds.SmallInt}, -32768, int64(-32768)},
	{tds.Column{Type: tds.TinyInt}, 255, int64(255)},
	{tds.Column{Type: tds.Bit}, true, true},
	{tds.Column{Type: tds.Bit}, 0, false},
	{tds.Column{Type: tds.Float}, 0.25, 0.25},
	{tds.Column{Type: tds.Decimal, Precision: 25}, "1234567890123456789012345", []byte("1234567890123456789012345")},
	{tds.Column{Type: tds.Decimal, Precision: 10, Scale: 2}, "-12.34", []byte("-12.34")},
	{tds.Column{Type: tds.NVarChar, Size: 128}, "a]b 订单 ", "a]b 订单 "},
	{tds.Column{Type: tds.NVarChar}, "", ""},
	{tds.Column{Type: tds.VarBinary, Size: 4}, []byte{0, 1}, []byte{0, 1}},
	{tds.Column{Type: tds.VarBinary}, []byte{0, 1}, []byte{0, 1}},
	{tds.Column{Type: tds.UniqueIdentifier}, make([]byte, 16), make([]byte, 16)},
	{
		tds.Column{Type: tds.DateTime},
		time.Date(2024, 2, 29, 1, 2, 3, 0, time.UTC), time.Date(2024, 2, 29, 1, 2, 3, 0, time.UTC),
	},
	{
		tds.Column{Type: tds.DateTime2},
		time.Date(2024, 2, 29, 1, 2, 3, 100, time.UTC), time.Date(2024, 2, 29, 1, 2, 3, 100, time.UTC),
	},
}

func TestWriter_Columns(t *testing.T) {
	t.Parallel()
	columns := make([]tds.Column, len(typed))
	values, nulls := make([]any, len(typed)), make([]any, len(typed))
	for i, one := range typed {
		columns[i], values[i] = one.column, one.value
		columns[i].Name = fmt.Sprintf("列%d", i)
	}
	db := start(t, &fake{answers: map[string]func(context.Context, tds.Query, *tds.Writer) error{
		"all types": func(ctx context.Context, _ tds.Query, w *tds.Writer) error {
			_ = w.Columns(columns...)
			_ = w.Row(ctx, values...)
			err := w.Row(ctx, nulls...)
			w.Done(2)
			return err
		},
	}}, tds.Options{})("")
	rows, err := db.QueryContext(within(t), "all types")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for row := 0; rows.Next(); row++ {
		got, places := make([]any, len(typed)), make([]any, len(typed))
		for i := range got {
			places[i] = &got[i]
		}
		if err := rows.Scan(places...); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			want := typed[i].want
			if row == 1 {
				want = nil
			}
			if at, ok := got[i].(time.Time); ok {
				got[i] = at.UTC()
			}
			if diff := cmp.Diff(want, got[i]); diff != "" {
				t.Errorf("row %d, column %d: %s", row, i, diff)
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}

func TestQuery_Errors(t *testing.T) {
	t.Parallel()
	denied := tds.Errors{
		{Number: 262, Class: 14, State: 1, Message: "permission denied", Line: 3, Server: "s", Procedure: "p"},
		{Number: 297, Class: 16, State: 1, Message: "no permission", Line: 3},
	}
	fail := func(err error) func(context.Context, tds.Query, *tds.Writer) error {
		return func(context.Context, tds.Query, *tds.Writer) error { return err }
	}
	f := &fake{answers: map[string]func(context.Context, tds.Query, *tds.Writer) error{
		"be denied":     fail(denied),
		"be denied @p1": fail(denied),
		"be plain":      fail(errors.New("odd")),
		"be dead":       fail(tds.Error{Number: 596, Class: 21, Message: "Cannot continue the execution"}),
		"be late": func(ctx context.Context, q tds.Query, w *tds.Writer) error {
			_ = echo(ctx, q, w)
			return denied[0]
		},
		"be truncated":   one(tds.Column{Type: tds.NVarChar, Size: 2}, "订订订"),
		"be overflow":    one(tds.Column{Type: tds.Int}, int64(1)<<31),
		"tiny overflow":  one(tds.Column{Type: tds.TinyInt}, -1),
		"not a number":   one(tds.Column{Type: tds.Decimal, Precision: 5}, "x"),
		"another's type": one(tds.Column{Type: tds.BigInt}, "x"),
	}}
	db := start(t, f, tds.Options{})("")
	db.SetMaxOpenConns(1)
	for _, test := range []struct {
		text   string
		args   []any
		number int32
		all    int
	}{
		{"be denied", nil, 297, 2},
		{"be denied @p1", []any{1}, 297, 2},
		{"be plain", nil, 50000, 1},
		{"be late", []any{1}, 262, 1},
		{"be truncated", nil, 2628, 1},
		{"be overflow", nil, 8115, 1},
		{"tiny overflow", nil, 8115, 1},
		{"not a number", nil, 8114, 1},
		{"another's type", nil, 8114, 1},
	} {
		_, err := db.ExecContext(within(t), test.text, test.args...)
		var got mssql.Error
		if !errors.As(err, &got) || got.Number != test.number || len(got.All) != test.all {
			t.Errorf("%s: %#v", test.text, err)
		}
		if test.all == 2 && (got.All[0].Number != 262 || got.All[0].Class != 14 ||
			got.All[0].LineNo != 3 || got.All[0].ProcName != "p" || got.All[0].ServerName != "s") {
			t.Errorf("%s: %#v", test.text, got.All)
		}
	}
	if _, err := db.ExecContext(within(t), "be dead"); !errors.As(err, &mssql.ServerError{}) {
		t.Errorf("dead: %#v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.logins) != 1 {
		t.Errorf("%d logins: an error of class 16 ended the connection", len(f.logins))
	}
}

// one returns an answer of one value.
func one(column tds.Column, value any) func(context.Context, tds.Query, *tds.Writer) error {
	return func(ctx context.Context, _ tds.Query, w *tds.Writer) error {
		_ = w.Columns(column)
		return w.Row(ctx, value)
	}
}

func TestWriter_SeveralResults(t *testing.T) {
	t.Parallel()
	db := start(t, &fake{answers: map[string]func(context.Context, tds.Query, *tds.Writer) error{
		"two results": func(ctx context.Context, _ tds.Query, w *tds.Writer) error {
			for i := range 2 {
				_ = w.Columns(tds.Column{Name: "n", Type: tds.Int})
				_ = w.Row(ctx, i)
				w.Done(1)
				w.Info(tds.Error{Number: 5701, Message: "notice"})
			}
			return nil
		},
	}}, tds.Options{})("")
	rows, err := db.QueryContext(within(t), "two results")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for i := range 2 {
		var got int
		if !rows.Next() || rows.Scan(&got) != nil || got != i || rows.Next() {
			t.Errorf("result %d: %d, %v", i, got, rows.Err())
		}
		if more := rows.NextResultSet(); more != (i == 0) {
			t.Errorf("after result %d: %t", i, more)
		}
	}
}

func TestServer_Transactions(t *testing.T) {
	t.Parallel()
	f := &fake{}
	db := start(t, f, tds.Options{})("")
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		tx, err := db.BeginTx(within(t), &sql.TxOptions{Isolation: sql.LevelReadUncommitted})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("echo @p1", 1); err != nil {
			t.Error(err)
		}
		if err := end(tx); err != nil {
			t.Error(err)
		}
	}
}

func TestServer_ResetsSessions(t *testing.T) {
	t.Parallel()
	f := &fake{}
	db := start(t, f, tds.Options{})("")
	for range 3 {
		if _, err := db.ExecContext(within(t), "echo @p1", 1); err != nil {
			t.Fatal(err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.logins) != 1 || f.resets != 3 {
		t.Errorf("%d logins, %d resets", len(f.logins), f.resets)
	}
}

const bigRows = 100_000

func manyRows(ctx context.Context, _ tds.Query, w *tds.Writer) error {
	err := w.Columns(tds.Column{Name: "n", Type: tds.BigInt}, tds.Column{Name: "s", Type: tds.NVarChar, Size: 128})
	if err != nil {
		return err
	}
	for i := range bigRows {
		if err := w.Row(ctx, i, fmt.Sprintf("订单_%d", i)); err != nil {
			return err
		}
	}
	w.Done(bigRows)
	return nil
}

func TestWriter_ManyRows(t *testing.T) {
	t.Parallel()
	own, _ := testenv.Certificate(t)
	for _, settings := range []string{
		"encrypt=disable&packet size=512", "encrypt=disable",
		"encrypt=true&TrustServerCertificate=true&packet size=16000",
	} {
		t.Run(settings, func(t *testing.T) {
			t.Parallel()
			f := &fake{answers: map[string]func(context.Context, tds.Query, *tds.Writer) error{"many rows": manyRows}}
			db := start(t, f, tds.Options{Encryption: tds.LoginOnly, Certificate: own})(settings)
			rows, err := db.QueryContext(within(t), "many rows")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rows.Close() }()
			var count, n int
			var s string
			for ; rows.Next(); count++ {
				if err := rows.Scan(&n, &s); err != nil || n != count || s != fmt.Sprintf("订单_%d", count) {
					t.Fatalf("row %d: %d %q, %v", count, n, s, err)
				}
			}
			if rows.Err() != nil || count != bigRows {
				t.Errorf("%d rows, %v", count, rows.Err())
			}
		})
	}
}

// TestServer_Attention cancels queries and reuses their connection.
func TestServer_Attention(t *testing.T) {
	started := make(chan struct{}, 1)
	f := &fake{answers: map[string]func(context.Context, tds.Query, *tds.Writer) error{
		"wait here": func(ctx context.Context, _ tds.Query, _ *tds.Writer) error {
			started <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		},
		"many rows": manyRows,
	}}
	own, _ := testenv.Certificate(t)
	for _, encrypt := range []string{"disable", "true"} {
		t.Run("encrypt="+encrypt, func(t *testing.T) {
			f.logins = nil
			open := start(t, f, tds.Options{Encryption: tds.LoginOnly, Certificate: own})
			db := open("TrustServerCertificate=true&encrypt=" + encrypt)
			db.SetMaxOpenConns(1)
			ctx, cancel := context.WithCancel(within(t))
			go func() { <-started; cancel() }()
			if _, err := db.ExecContext(ctx, "wait here"); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v", err)
			}
			abandonRows(t, db)
			if _, err := db.ExecContext(within(t), "echo @p1", 1); err != nil {
				t.Error(err)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if len(f.logins) != 1 {
				t.Errorf("%d logins: a cancelled query cost a connection", len(f.logins))
			}
		})
	}
}

// TestServer_QueryDeadline lets a query run into its deadline, after which the driver reconnects.
func TestServer_QueryDeadline(t *testing.T) {
	ended := make(chan error, 1)
	f := &fake{answers: map[string]func(context.Context, tds.Query, *tds.Writer) error{
		"wait here": func(ctx context.Context, _ tds.Query, _ *tds.Writer) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		},
	}}
	db := start(t, f, tds.Options{})("")
	db.SetMaxOpenConns(1)
	if err := db.PingContext(within(t)); err != nil { // the deadline is for the query, not for connecting
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(within(t), 500*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(ctx, "wait here"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the query ended by %v", err)
		}
	case <-time.After(testenv.Patience):
		t.Error("the query still runs after its deadline")
	}
	if _, err := db.ExecContext(within(t), "echo @p1", 1); err != nil {
		t.Error(err)
	}
}

// abandonRows closes results after the first row, for which the driver sends an attention, too.
func abandonRows(t *testing.T, db *sql.DB) {
	t.Helper()
	for range 5 {
		func() {
			rows, err := db.QueryContext(within(t), "many rows")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rows.Close() }()
			if !rows.Next() {
				t.Error(rows.Err())
			}
		}()
	}
}

// TestServer_LostClient checks that the query of a lost client ends.
func TestServer_LostClient(t *testing.T) {
	t.Parallel()
	started, ended := make(chan struct{}), make(chan error, 1)
	f := &fake{answers: map[string]func(context.Context, tds.Query, *tds.Writer) error{
		"wait here": func(ctx context.Context, _ tds.Query, _ *tds.Writer) error {
			close(started)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return ctx.Err()
		},
	}}
	conns := make(chan net.Conn, 1)
	listener := &spy{Listener: listen(t), conns: conns}
	server := tds.Serve(listener, f, tds.Options{})
	t.Cleanup(server.Close)
	db, err := sql.Open("sqlserver",
		"sqlserver://sa:"+url.QueryEscape("p'ä%订\"")+"@"+listener.Addr().String()+"?encrypt=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	go func() { <-started; _ = (<-conns).Close() }()
	if _, err := db.ExecContext(within(t), "wait here"); err == nil {
		t.Error("a query outlived its connection")
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the query ended without a cause")
		}
	case <-time.After(testenv.Patience):
		t.Error("the query of a lost client still runs")
	}
}

// spy hands out the connections it accepts.
type spy struct {
	net.Listener
	conns chan net.Conn
}

func (s *spy) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err == nil {
		s.conns <- conn
	}
	return conn, err
}

// TestServer_Close closes a server while it runs a query.
func TestServer_Close(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	f := &fake{answers: map[string]func(context.Context, tds.Query, *tds.Writer) error{
		"wait here": func(ctx context.Context, _ tds.Query, _ *tds.Writer) error {
			close(started)
			<-ctx.Done()
			return ctx.Err()
		},
	}}
	listener := listen(t)
	server := tds.Serve(listener, f, tds.Options{})
	db, err := sql.Open("sqlserver",
		"sqlserver://sa:"+url.QueryEscape("p'ä%订\"")+"@"+listener.Addr().String()+"?encrypt=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	go func() { <-started; server.Close() }()
	if _, err := db.ExecContext(within(t), "wait here"); err == nil {
		t.Error("a query outlived its server")
	}
	server.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open != 0 {
		t.Errorf("%d sessions left", f.open)
	}
}
