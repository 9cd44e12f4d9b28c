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

// fleet is several WhaleFall processes with one PostgreSQL store, and the instances they collect.
type fleet struct {
	*testing.T
	binary, store, keyset string
	replicas              []*replica
	watch                 *pgx.Conn // reads the store
	client                *http.Client
	csrf                  string
	instances             []int64
	database              string // of every instance
}

// replica is one process of the fleet.
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
	tokenRate      = 200 // requests per minute and token
)

// Limits of the fleet test's waits.
const (
	takeover = 3 * time.Minute  // a killed process counts as gone after one minute of silence
	handover = 50 * time.Second // less than that minute: nobody has to wait for a stopped process
)

// slow delays the data of a monitored server, so that a run lasts long enough to be seen running.
const slow = 200 * time.Millisecond

// newFleet builds the program and starts the replicas.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{
		T: t, binary: filepath.Join(t.TempDir(), "whalefall"),
		store: testenv.PostgreSQL(t).NewDatabase(t), client: clitest.NewClient(t),
	}
	build := exec.Command("go", "build", "-o", f.binary, "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
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

// newKeyset migrates the store and returns the keyset, which the replicas must share.
func (f *fleet) newKeyset() string {
	f.Helper()
	dir := f.TempDir()
	if status, _, errs := clitest.Run(f.T, "", "migrate", "--data-dir", dir, "--store", f.store); status != 0 {
		f.Fatalf("migrate: exit status %d: %s", status, errs)
	}
	text, err := os.ReadFile(filepath.Join(dir, "keyset.json"))
	f.must(err)
	return string(text)
}

// start starts a replica and waits until it is ready.
func (f *fleet) start() *replica {
	f.Helper()
	address := "127.0.0.1:" + strconv.Itoa(testenv.FreePort(f))
	r := &replica{base: "http://" + address, output: &clitest.Buffer{}}
	r.cmd = exec.Command(f.binary, "--addr", address, "--data-dir", f.TempDir(), "--store", f.store,
		"--rate-token", strconv.Itoa(tokenRate), "--log-level=warn")
	r.cmd.Env = append(os.Environ(), "WHALEFALL_ADMIN_PASSWORD="+fleetPassword, "WHALEFALL_KEYSET="+f.keyset)
	r.cmd.Stdout, r.cmd.Stderr = r.output, r.output
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	f.must(r.cmd.Start())
	f.Cleanup(func() {
		f.client.CloseIdleConnections()
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		if f.Failed() {
			f.Logf("output of %s: %s", r.base, r.output.String())
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

// must ends the test if err is not nil.
func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// call sends an API request with the session's cookie to a replica and returns the status. If data is not nil, it
// decodes the response's data into it, and ends the test on an error response.
func (f *fleet) call(r *replica, method, path string, body, data any) (status int) {
	f.Helper()
	return f.callAs(r, map[string]string{"X-CSRFToken": f.csrf}, f.client, method, path, body, data)
}

// callAs is call with other headers and another client.
func (f *fleet) callAs(
	r *replica, headers map[string]string, client *http.Client, method, path string, body, data any,
) int {
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
	content, err := io.ReadAll(response.Body)
	f.must(err)
	if data != nil {
		if response.StatusCode >= http.StatusBadRequest {
			f.Fatalf("%s %s: %s\n%.500s", method, path, response.Status, content)
		}
		f.must(json.Unmarshal(content, &struct{ Data any }{data}))
	}
	return response.StatusCode
}

// number runs a query in the store and returns its number.
func (f *fleet) number(query string, args ...any) (n int) {
	f.Helper()
	f.must(f.watch.QueryRow(f.Context(), query, args...).Scan(&n))
	return n
}

// text runs a query in the store and returns its text.
func (f *fleet) text(query string, args ...any) (text string) {
	f.Helper()
	f.must(f.watch.QueryRow(f.Context(), query, args...).Scan(&text))
	return text
}

// logIn logs in as admin; the session is good for all replicas.
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

// TestReplicas_ShareWork runs collections on three replicas, of which one is killed and another one is stopped.
func TestReplicas_ShareWork(t *testing.T) { //nolint:tparallel // each subtest goes on where the one before ended
	t.Parallel()
	f := newFleet(t)
	f.logIn(f.replicas[0])
	f.limitsAreShared(f.sessionsAreShared())
	wire := f.addInstances()
	t.Run("second request joins, and all replicas execute runs", func(*testing.T) { f.share(wire) })
	t.Run("runs of a killed replica are requeued", func(*testing.T) { f.kill(wire) })
	t.Run("runs of a stopped replica are requeued at once", func(*testing.T) { f.stop(wire) })
}

// sessionsAreShared uses a session and a token at replicas that did not create them, and returns the token's secret.
func (f *fleet) sessionsAreShared() (secret string) {
	f.Helper()
	var token struct{ Secret string }
	f.call(f.replicas[1], http.MethodPost, "/tokens", map[string]any{"name": "fleet"}, &token)
	for i, r := range f.replicas {
		tag := map[string]any{
			"name": fmt.Sprint("fleet_", i), "display_name": fmt.Sprint("fleet ", i), "category": "other",
		}
		if status := f.call(r, http.MethodPost, "/tags", tag, nil); status != http.StatusCreated {
			f.Errorf("replica %d: got status %d with the session, want 201", i, status)
		}

		headers := map[string]string{"Authorization": "Bearer " + token.Secret}
		client := clitest.NewClient(f.T) // without the session's cookie
		if status := f.callAs(r, headers, client, http.MethodGet, "/users", nil, nil); status != http.StatusOK {
			f.Errorf("replica %d: got status %d with the token, want 200", i, status)
		}
	}
	return token.Secret
}

// guessTooOften sends wrong passwords to all replicas and reports whether the first one over the limit is refused. It
// returns false if the machine was too busy to send all of them within the window, and may be called again.
func (f *fleet) guessTooOften() bool {
	f.Helper()
	const guesses, window = 10, time.Minute
	name := fmt.Sprintf("nobody_%d", time.Now().UnixNano())
	start := time.Now()
	guess := map[string]any{"username": name, "password": "wrong"}
	for i := range guesses {
		status := f.call(f.replicas[i%fleetSize], http.MethodPost, "/auth/login", guess, nil)
		if status == http.StatusTooManyRequests {
			f.Fatalf("guess %d: got status %d, want it only from guess %d on", i+1, status, guesses+1)
		}
	}

	last := f.call(f.replicas[guesses%fleetSize], http.MethodPost, "/auth/login", guess, nil)
	if last != http.StatusTooManyRequests && time.Since(start) < window {
		f.Fatalf("guess %d: got status %d, want %d", guesses+1, last, http.StatusTooManyRequests)
	}
	return last == http.StatusTooManyRequests
}

// limitsAreShared guesses passwords at all replicas, and uses up a token's budget at one of them.
func (f *fleet) limitsAreShared(secret string) {
	f.Helper()
	eventually(f.T, 5*patience, "the first guess over the limit is refused", f.guessTooOften)

	headers := map[string]string{"Authorization": "Bearer " + secret}
	client := clitest.NewClient(f.T)
	allowed := func(r *replica) (n int) {
		for n < 3*tokenRate && f.callAs(r, headers, client, http.MethodGet, "/auth/session", nil, nil) == http.StatusOK {
			n++
		}
		return n
	}
	if first := allowed(f.replicas[0]); first < tokenRate || first == 3*tokenRate {
		f.Errorf("requests at the first replica: got %d, want from %d to %d", first, tokenRate, 3*tokenRate-1)
	}
	eventually(f.T, patience, "the other replicas have learned of the spent budget", func() bool {
		return allowed(f.replicas[1]) <= tokenRate/4 && allowed(f.replicas[2]) <= tokenRate/4
	})
}

// addInstances adds instances that are all one server behind the returned proxy.
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
		"name": "fleet", "credential_type": "database", "db_type": "postgresql",
		"username": server.User, "password": server.Password,
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

// refresh requests a refresh from a replica and returns the id of its run.
func (f *fleet) refresh(r *replica, instance int64) int64 {
	f.Helper()
	var run struct{ ID int64 }
	path := fmt.Sprintf("/instances/%d/databases/%s/tables/sizes/actions/refresh", instance, f.database)
	f.call(r, http.MethodPost, path, nil, &run)
	return run.ID
}

// begin requests a refresh of every instance and waits until as many replicas as owners execute runs. The ids of these
// runs are greater than before.
func (f *fleet) begin(wire *testenv.Proxy, r *replica, owners int) (before int) {
	f.Helper()
	before = f.number("SELECT coalesce(max(id), 0) FROM collection_runs")
	wire.Delay(slow)
	for _, instance := range f.instances {
		f.refresh(r, instance)
	}
	eventually(f.T, patience, fmt.Sprintf("%d replicas execute runs", owners), func() bool {
		return f.number("SELECT count(DISTINCT owner) FROM collection_runs WHERE status = 'running'") == owners
	})
	return before
}

// finish waits until all runs have ended, and expects one with an id greater than before to have succeeded for every
// instance.
func (f *fleet) finish(limit time.Duration, before int) {
	f.Helper()
	eventually(f.T, limit, "every run has ended", func() bool {
		return f.number("SELECT count(*) FROM collection_runs WHERE ended_at IS NULL") == 0
	})
	succeeded := f.number(`SELECT count(DISTINCT instance_id) FROM collection_runs
		WHERE id > $1 AND status = 'succeeded'`, before)
	failed := f.number(`SELECT count(*) FROM collection_runs
		WHERE id > $1 AND status NOT IN ('succeeded', 'interrupted')`, before)
	if succeeded != fleetInstances || failed > 0 {
		f.Errorf("got %d instances refreshed and %d failed runs, want %d and 0", succeeded, failed, fleetInstances)
	}
	for i, instance := range f.instances {
		var page struct{ Total int }
		path := fmt.Sprintf("/instances/%d/databases/%s/tables/sizes", instance, f.database)
		f.call(f.replicas[i%len(f.replicas)], http.MethodGet, path, nil, &page)
		if page.Total != fleetTables {
			f.Errorf("tables of instance %d: got %d, want %d", instance, page.Total, fleetTables)
		}
	}
}

// requeuedOnce expects some run with an id greater than before to have been interrupted, and each of them to have
// succeeded at its second attempt.
func (f *fleet) requeuedOnce(before int) {
	f.Helper()
	const count = "SELECT count(*) FROM collection_runs WHERE id > $1 AND status = $2 AND attempt = $3"
	interrupted := f.number(count, before, "interrupted", 1)
	requeued := f.number(count, before, "succeeded", 2)
	if interrupted == 0 || requeued != interrupted {
		f.Errorf("got %d runs interrupted and %d requeued, want as many, and some", interrupted, requeued)
	}
}

// share requests the same refresh from two replicas, and cancels runs of all replicas at one.
func (f *fleet) share(wire *testenv.Proxy) {
	f.Helper()
	before := f.begin(wire, f.replicas[0], fleetSize)
	last := f.instances[len(f.instances)-1] // its run is still queued
	if a, b := f.refresh(f.replicas[1], last), f.refresh(f.replicas[2], last); a != b {
		f.Errorf("two requests for a queued refresh: got runs %d and %d, want one", a, b)
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
			f.Errorf("status of run %d: got %s, want cancelled", id, run.Status)
		}
		instance := f.number("SELECT instance_id FROM collection_runs WHERE id = $1", id)
		f.number(`WITH deleted AS (DELETE FROM collection_runs WHERE id = $1 RETURNING 1)
			SELECT count(*) FROM deleted`, id)
		f.refresh(f.replicas[1], int64(instance))
	}
	wire.Delay(0)
	f.finish(patience, before)
	owners := f.number("SELECT count(DISTINCT owner) FROM collection_runs WHERE id > $1", before)
	if owners != fleetSize {
		f.Errorf("replicas that executed runs: got %d, want %d", owners, fleetSize)
	}
}

// kill kills the replica that was started first, which is the leader and queues scheduled work.
func (f *fleet) kill(wire *testenv.Proxy) {
	f.Helper()
	const leader = "SELECT leader_id FROM river_leader WHERE expires_at > now()"
	killed, oldLeader := f.replicas[0], f.text(leader)
	before := f.begin(wire, f.replicas[1], fleetSize)
	f.must(killed.cmd.Process.Kill())
	killedAt := time.Now()
	wire.Delay(0)
	f.replicas = f.replicas[1:]
	f.finish(takeover, before)
	f.requeuedOnce(before)
	eventually(f.T, patience, "another replica completes a tick", func() bool {
		return f.number(`SELECT count(*) FROM river_job
			WHERE kind = 'tick' AND state = 'completed' AND attempted_at > $1`, killedAt) > 0
	})
	if got := f.text(leader); got == oldLeader {
		f.Errorf("leader: got %s, the killed replica, want another one", got)
	}
}

// stop stops a replica as an upgrade does, and starts another one in its place.
func (f *fleet) stop(wire *testenv.Proxy) {
	f.Helper()
	before := f.begin(wire, f.replicas[1], len(f.replicas))
	leaving := f.replicas[0]
	f.must(leaving.cmd.Process.Signal(syscall.SIGTERM))
	if err := leaving.cmd.Wait(); err != nil {
		f.Errorf("exit of the stopped replica: %v", err)
	}
	wire.Delay(0)
	f.replicas = f.replicas[1:]
	f.finish(handover, before)
	f.requeuedOnce(before)
	f.replicas = append(f.replicas, f.start())
	f.finish(patience, before)
}
