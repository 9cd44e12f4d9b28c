package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"whalefall/cli/clitest"
	"whalefall/testenv"
)

// fleet is several processes of the product over one PostgreSQL store, and what they collect.
type fleet struct {
	*testing.T
	binary, store, keyset string
	replicas              []*replica
	watch                 *pgx.Conn // to the store
	client                *http.Client
	csrf                  string
	instances             []int64
	database              string // that all of them have
}

type replica struct {
	cmd    *exec.Cmd
	base   string
	output *clitest.Buffer
}

const (
	fleetSize      = 3
	fleetPassword  = "Share-the-work-1"
	fleetInstances = 30
	fleetTables    = 5
	rateOfTokens   = 200
)

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{T: t, binary: filepath.Join(t.TempDir(), "whalefall"), store: testenv.PostgreSQL(t).NewDatabase(t), client: clitest.NewClient(t)}
	build := exec.Command("go", "build", "-o", f.binary, "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f.keyset = f.newKeyset()
	for range fleetSize {
		f.replicas = append(f.replicas, f.start())
	}
	var err error
	f.watch, err = pgx.Connect(t.Context(), f.store)
	f.must(err)
	t.Cleanup(func() { _ = f.watch.Close(context.Background()) })
	return f
}

// newKeyset is the one secret that replicas have to share.
func (f *fleet) newKeyset() string {
	f.Helper()
	dir := f.TempDir()
	if status, _, errs := clitest.Run(f.T, "", "migrate", "--data-dir", dir, "--store", f.store); status != 0 {
		f.Fatal(errs)
	}
	text, err := os.ReadFile(filepath.Join(dir, "keyset.json"))
	f.must(err)
	return string(text)
}

// start starts one more replica and waits until it is ready.
func (f *fleet) start() *replica {
	f.Helper()
	address := "127.0.0.1:" + strconv.Itoa(testenv.FreePort(f))
	r := &replica{base: "http://" + address, output: &clitest.Buffer{}}
	r.cmd = exec.Command(f.binary, "--addr", address, "--data-dir", f.TempDir(), "--store", f.store,
		"--rate-token", strconv.Itoa(rateOfTokens), "--log-level=warn")
	r.cmd.Env = append(os.Environ(), "WHALEFALL_ADMIN_PASSWORD="+fleetPassword, "WHALEFALL_KEYSET="+f.keyset)
	r.cmd.Stdout, r.cmd.Stderr = r.output, r.output
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	f.must(r.cmd.Start())
	f.Cleanup(func() {
		f.client.CloseIdleConnections()
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		if f.Failed() {
			f.Logf("%s said: %s", r.base, r.output.String())
		}
	})
	eventually(f.T, patience, "the replica is ready", func() bool {
		response, err := f.client.Get(r.base + "/readyz")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	})
	return r
}

func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// call asks one replica, with the session's cookie, and reads the answer's data unless that is nil.
func (f *fleet) call(r *replica, method, path string, body, data any) (status int) {
	f.Helper()
	return f.callAs(r, map[string]string{"X-CSRFToken": f.csrf}, f.client, method, path, body, data)
}

func (f *fleet) callAs(r *replica, headers map[string]string, client *http.Client, method, path string, body, data any) int {
	f.Helper()
	text, err := json.Marshal(body)
	f.must(err)
	request, err := http.NewRequestWithContext(f.Context(), method, r.base+"/api/v1"+path, bytes.NewReader(text))
	f.must(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Prefer", "respond-async")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	f.must(err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	f.must(err)
	if data != nil {
		if response.StatusCode >= http.StatusBadRequest {
			f.Fatalf("%s %s: %s\n%.500s", method, path, response.Status, answer)
		}
		f.must(json.Unmarshal(answer, &struct{ Data any }{data}))
	}
	return response.StatusCode
}

// number is one number from the store.
func (f *fleet) number(query string, args ...any) (n int) {
	f.Helper()
	f.must(f.watch.QueryRow(f.Context(), query, args...).Scan(&n))
	return n
}

func (f *fleet) text(query string, args ...any) (text string) {
	f.Helper()
	f.must(f.watch.QueryRow(f.Context(), query, args...).Scan(&text))
	return text
}

func (f *fleet) logIn(r *replica) {
	f.Helper()
	var data struct {
		Token string `json:"csrf_token"`
	}
	f.call(r, http.MethodGet, "/auth/csrf-token", nil, &data)
	f.csrf = data.Token
	f.call(r, http.MethodPost, "/auth/login", map[string]any{"username": "admin", "password": fleetPassword}, &struct{}{})
	f.call(r, http.MethodGet, "/auth/csrf-token", nil, &data)
	f.csrf = data.Token
}

func TestReplicas_ShareWork(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.logIn(f.replicas[0])
	f.limitsAreShared(f.sessionsAreShared())
	wire := f.addInstances()
	t.Run("asking twice joins, and all carry out", func(*testing.T) { f.share(wire) })
	t.Run("a killed replica's work goes on", func(*testing.T) { f.kill(wire) })
	t.Run("a stopped replica's work goes on at once", func(*testing.T) { f.stop(wire) })
}

// sessionsAreShared uses at each replica what another one gave out.
func (f *fleet) sessionsAreShared() (secret string) {
	f.Helper()
	var made struct{ Secret string }
	f.call(f.replicas[1], http.MethodPost, "/tokens", map[string]any{"name": "fleet"}, &made)
	for i, r := range f.replicas {
		if status := f.call(r, http.MethodPost, "/tags", map[string]any{"name": fmt.Sprint("fleet_", i), "display_name": fmt.Sprint("fleet ", i), "category": "other"}, nil); status != http.StatusCreated {
			f.Errorf("replica %d does not take the session: %d", i, status)
		}
		headers := map[string]string{"Authorization": "Bearer " + made.Secret} // without the cookie
		if status := f.callAs(r, headers, clitest.NewClient(f.T), http.MethodGet, "/users", nil, nil); status != http.StatusOK {
			f.Errorf("replica %d does not take the token: %d", i, status)
		}
	}
	return made.Secret
}

// guessTooOften guesses a password at all replicas until one more guess should be refused, and reports whether it is. On a
// machine that is too busy for so many guesses within the window it reports false, and should be called again.
func (f *fleet) guessTooOften() bool {
	f.Helper()
	const guesses, window = 10, time.Minute
	name := fmt.Sprintf("nobody_%d", time.Now().UnixNano())
	began := time.Now()
	for i := range guesses {
		guess := map[string]any{"username": name, "password": "wrong"}
		if status := f.call(f.replicas[i%fleetSize], http.MethodPost, "/auth/login", guess, nil); status == http.StatusTooManyRequests {
			f.Fatalf("guess %d is refused already", i+1)
		}
	}

	last := f.call(f.replicas[guesses%fleetSize], http.MethodPost, "/auth/login", map[string]any{"username": name, "password": "wrong"}, nil)
	if last != http.StatusTooManyRequests && time.Since(began) < window {
		f.Fatalf("guess %d: got status %d, want %d", guesses+1, last, http.StatusTooManyRequests)
	}
	return last == http.StatusTooManyRequests
}

// limitsAreShared guesses passwords at all replicas, and uses up a token's budget at one.
func (f *fleet) limitsAreShared(secret string) {
	f.Helper()
	eventually(f.T, 5*patience, "one guess too many within the window is refused", f.guessTooOften)

	headers := map[string]string{"Authorization": "Bearer " + secret}
	client := clitest.NewClient(f.T)
	allowed := func(r *replica) (n int) {
		for n < 3*rateOfTokens && f.callAs(r, headers, client, http.MethodGet, "/auth/session", nil, nil) == http.StatusOK {
			n++
		}
		return n
	}
	if first := allowed(f.replicas[0]); first < rateOfTokens || first == 3*rateOfTokens {
		f.Errorf("%d requests", first)
	}
	eventually(f.T, patience, "the other replicas know of the spent budget", func() bool {
		return allowed(f.replicas[1]) <= rateOfTokens/4 && allowed(f.replicas[2]) <= rateOfTokens/4
	})
}

// addInstances adds instances that are read through the returned wire.
func (f *fleet) addInstances() *testenv.Proxy {
	f.Helper()
	server := testenv.PostgreSQL(f)
	target, err := pgx.ParseConfig(server.NewDatabase(f))
	f.must(err)
	f.database = target.Database
	for i := range fleetTables {
		server.Exec(f, f.database, fmt.Sprintf("CREATE TABLE table_%d (n int)", i))
	}
	wire := testenv.NewProxy(f, server.Host, server.Port)
	var account struct{ Credential struct{ ID int64 } }
	f.call(f.replicas[0], http.MethodPost, "/credentials", map[string]any{
		"name": "fleet", "credential_type": "database", "db_type": "postgresql", "username": server.User, "password": server.Password,
	}, &account)
	for i := range fleetInstances {
		var added struct{ Instance struct{ ID int64 } }
		f.call(f.replicas[i%fleetSize], http.MethodPost, "/instances", map[string]any{
			"name": fmt.Sprint("fleet_", i), "db_type": "postgresql", "tls_mode": "disable", "database_name": "postgres",
			"host": "127.0.0.1", "port": wire.Port, "credential_id": account.Credential.ID,
		}, &added)
		f.instances = append(f.instances, added.Instance.ID)
	}
	return wire
}

// slow is what every answer of a target takes longer, so that a run can be met while it goes on.
const slow = 200 * time.Millisecond

// refresh asks one replica for a refresh and returns the id of its run.
func (f *fleet) refresh(r *replica, instance int64) int64 {
	f.Helper()
	var run struct{ ID int64 }
	f.call(r, http.MethodPost, fmt.Sprintf("/instances/%d/databases/%s/tables/sizes/actions/refresh", instance, f.database), nil, &run)
	return run.ID
}

// begin asks for a refresh of every instance and waits until as many replicas carry some out. The ids of its runs are
// greater than the returned one.
func (f *fleet) begin(wire *testenv.Proxy, r *replica, owners int) (before int) {
	f.Helper()
	before = f.number("SELECT coalesce(max(id), 0) FROM collection_runs")
	wire.Delay(slow)
	for _, instance := range f.instances {
		f.refresh(r, instance)
	}
	eventually(f.T, patience, "every replica executes a run", func() bool {
		return f.number("SELECT count(DISTINCT owner) FROM collection_runs WHERE status = 'running'") == owners
	})
	return before
}

// finish waits until every run has ended, and looks at what came of those after the given one.
func (f *fleet) finish(limit time.Duration, before int) {
	f.Helper()
	eventually(f.T, limit, "every run has ended", func() bool { return f.number("SELECT count(*) FROM collection_runs WHERE ended_at IS NULL") == 0 })
	succeeded := f.number("SELECT count(DISTINCT instance_id) FROM collection_runs WHERE id > $1 AND status = 'succeeded'", before)
	failed := f.number("SELECT count(*) FROM collection_runs WHERE id > $1 AND status NOT IN ('succeeded', 'interrupted')", before)
	if succeeded != fleetInstances || failed > 0 {
		f.Errorf("%d instances were refreshed, %d runs failed", succeeded, failed)
	}
	for i, instance := range f.instances {
		var page struct{ Total int }
		f.call(f.replicas[i%len(f.replicas)], http.MethodGet, fmt.Sprintf("/instances/%d/databases/%s/tables/sizes", instance, f.database), nil, &page)
		if page.Total != fleetTables {
			f.Errorf("%d tables of instance %d", page.Total, instance)
		}
	}
}

// begunAgain wants every interrupted run after the given one to have been begun again once.
func (f *fleet) begunAgain(before int) {
	f.Helper()
	interrupted := f.number("SELECT count(*) FROM collection_runs WHERE id > $1 AND status = 'interrupted' AND attempt = 1", before)
	again := f.number("SELECT count(*) FROM collection_runs WHERE id > $1 AND status = 'succeeded' AND attempt = 2", before)
	if interrupted == 0 || again != interrupted {
		f.Errorf("%d runs were interrupted, %d begun again", interrupted, again)
	}
}

// share asks two replicas for the same, and one for the end of what others do.
func (f *fleet) share(wire *testenv.Proxy) {
	f.Helper()
	before := f.begin(wire, f.replicas[0], fleetSize)
	first := f.instances[len(f.instances)-1] // the last, which waits for its turn
	if a, b := f.refresh(f.replicas[1], first), f.refresh(f.replicas[2], first); a != b {
		f.Errorf("runs %d and %d for the same", a, b)
	}
	rows, err := f.watch.Query(f.Context(), `SELECT DISTINCT ON (owner) id FROM collection_runs
		WHERE status = 'running' ORDER BY owner, started_at DESC`)
	f.must(err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	f.must(err)
	for _, id := range ids {
		var run struct{ Status string }
		f.call(f.replicas[0], http.MethodDelete, fmt.Sprintf("/refreshes/%d", id), nil, &run)
		if run.Status != "cancelled" {
			f.Errorf("run %d is %s", id, run.Status)
		}
		instance := f.number("SELECT instance_id FROM collection_runs WHERE id = $1", id)
		f.number("WITH gone AS (DELETE FROM collection_runs WHERE id = $1 RETURNING 1) SELECT count(*) FROM gone", id)
		f.refresh(f.replicas[1], int64(instance))
	}
	wire.Delay(0)
	f.finish(patience, before)
	if owners := f.number("SELECT count(DISTINCT owner) FROM collection_runs WHERE id > $1", before); owners != fleetSize {
		f.Errorf("%d replicas carried out runs", owners)
	}
}

// lost is longer than a process is silent until its runs count as interrupted.
const lost = 110 * time.Second

// kill kills the replica that was started first, which keeps the clock.
func (f *fleet) kill(wire *testenv.Proxy) {
	f.Helper()
	const leader = "SELECT leader_id FROM river_leader WHERE expires_at > now()"
	dead, old := f.replicas[0], f.text(leader)
	before := f.begin(wire, f.replicas[1], fleetSize)
	f.must(dead.cmd.Process.Kill())
	killed := time.Now()
	wire.Delay(0)
	f.replicas = f.replicas[1:]
	f.finish(lost, before)
	f.begunAgain(before)
	eventually(f.T, patience, "a replica keeps the clock", func() bool {
		return f.number("SELECT count(*) FROM river_job WHERE kind = 'tick' AND state = 'completed' AND attempted_at > $1", killed) > 0
	})
	if f.text(leader) == old {
		f.Errorf("the dead one leads")
	}
}

// stop stops a replica as an upgrade does, and puts another one in its place.
func (f *fleet) stop(wire *testenv.Proxy) {
	f.Helper()
	before := f.begin(wire, f.replicas[1], len(f.replicas))
	leaving := f.replicas[0]
	f.must(leaving.cmd.Process.Signal(syscall.SIGTERM))
	if err := leaving.cmd.Wait(); err != nil {
		f.Errorf("it did not stop cleanly: %v", err)
	}
	wire.Delay(0)
	f.replicas = f.replicas[1:]
	f.finish(lost/4, before) // before anybody takes it for dead
	f.begunAgain(before)
	f.replicas = append(f.replicas, f.start())
	f.finish(patience, before)
}
