package faults

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"whalefall/collectors"
	"whalefall/collectors/jobs"
	"whalefall/handlers"
	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

// harness holds the servers that all cells share.
type harness struct {
	targets map[string]target
	store   *testenv.PostgreSQLServer // for PostgreSQL stores
	binary  func() string             // builds the product once and returns its path
	keyset  string                    // path of the keyset of all stores
	empty   string                    // path of a migrated, empty SQLite store
	serial  atomic.Int64              // of the databases on store
}

// template is the name of a migrated, empty store on the server for PostgreSQL stores.
const template = "store_template"

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{
		store:   testenv.StartPostgreSQL(t, "synchronous_commit=on"),
		targets: newTargets(t),
		binary:  sync.OnceValue(func() string { return build(t) }),
		keyset:  filepath.Join(t.TempDir(), "keyset.json"),
		empty:   filepath.Join(t.TempDir(), "empty.db"),
	}
	_, err := models.CreateKeyset(h.keyset)
	must(t, err)
	h.store.Exec(t, "postgres", "CREATE DATABASE "+template+" TEMPLATE template0")
	for _, address := range []string{h.empty, h.store.URL(template)} {
		store, err := models.Open(context.Background(), models.Options{
			Address: address, Keyset: h.keys(t), Zone: time.UTC, Migrate: migrations.Up,
		})
		must(t, err)
		must(t, store.Close())
	}
	return h
}

func (h *harness) keys(t *testing.T) models.Keyset {
	t.Helper()
	keys, err := models.LoadKeyset(h.keyset, "")
	must(t, err)
	return keys
}

// storage creates an empty store for the cell.
func (h *harness) storage(t *testing.T, c cell) storage {
	t.Helper()
	if c.store == "SQLite" {
		s := newSQLiteStorage(t, c.fault.smallStore)
		copyFile(t, h.empty, s.address())
		return s
	}
	return newPostgreSQLStorage(t, h.store, fmt.Sprintf("store_%d", h.serial.Add(1)), c.fault.smallStore)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, content, 0o600))
}

func (h *harness) try(t *testing.T, c cell) result {
	t.Helper()
	if c.fault.run != nil {
		return c.fault.run(h, t, c)
	}
	s := newScenario(t, h, c)
	defer s.close()
	return s.tryFault()
}

// clock is the wall clock as the product sees it.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// jump sets the clock forward, or back if by is negative.
func (c *clock) jump(by time.Duration) { c.ahead.Add(int64(by)) }

// scenario is the product within this process, with a store of its own and one target.
type scenario struct {
	*testing.T
	cell    cell
	clock   clock
	storage storage
	target  target
	store   *models.Store
	runner  *jobs.Runner
	web     *httptest.Server
	log     *slog.Logger
	client  *http.Client

	watched   int64    // id of the instance that the run collects, through the proxy
	reference int64    // id of an instance of the same server, without the proxy
	run       int64    // id of the run that meets the fault
	releases  []func() // let the held run continue
	others    sync.WaitGroup
}

func newScenario(t *testing.T, h *harness, c cell) *scenario {
	t.Helper()
	s := &scenario{
		T: t, cell: c, storage: h.storage(t, c), target: h.targets[c.engine],
		log: slog.New(slog.DiscardHandler),
	}
	var err error
	s.store, err = models.Open(context.Background(), models.Options{
		Address: s.storage.address(), Keyset: h.keys(t), Zone: time.UTC, Log: s.log, Now: s.clock.now,
		PasswordCost: bcrypt.MinCost,
	})
	must(t, err)
	s.start()
	s.watched = s.register("watched", s.target.instance())
	s.reference = s.register("reference", s.target.direct())
	return s
}

// start starts the service and the web server, as the process does.
func (s *scenario) start() {
	s.Helper()
	service := collectors.NewService(s.store, s.target.engines(), s.log)
	s.runner = jobs.New(s.store, service, jobs.Options{Log: s.log})
	must(s, s.runner.Start(context.Background()))
	s.web = httptest.NewServer(handlers.New(handlers.Config{
		Store: s.store, Collect: service, Runs: s.runner, Zone: time.UTC, CookieSecure: "false",
		Log: s.log, Version: "faults",
	}))
}

// stop ends what start started.
func (s *scenario) stop() {
	s.Helper()
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	s.web.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Patience)
	defer cancel()
	must(s, s.runner.Close(ctx))
}

func (s *scenario) close() {
	s.Helper()
	s.stop()
	s.others.Wait()
	must(s, s.store.Close())
}

func (s *scenario) register(name string, i models.Instance) int64 {
	s.Helper()
	i.Name, i.IsActive, i.TLSMode = name, true, models.TLSDisable
	var credential *models.TypedLogin
	if i.DBType != models.SQLite {
		credential = &models.TypedLogin{Username: s.target.account(), Password: s.target.password()}
	}
	made, err := s.store.CreateInstance(context.Background(), i, nil, credential)
	must(s, err)
	return made.ID
}

// tryFault tries one cell: it takes an old snapshot, changes the target, starts a run, injects the fault while the run
// is in the phase, and returns how the run ended.
func (s *scenario) tryFault() result {
	s.Helper()
	s.target.grow(s.T, 1)
	s.refresh(s.watched)
	s.refresh(s.reference)
	old := s.snapshot(s.watched)
	if !s.cell.fault.static {
		s.target.grow(s.T, max(1, s.cell.fault.tables))
	}
	s.refresh(s.reference)
	accepted := []snapshot{s.snapshot(s.reference)}
	if accepted[0].digest == old.digest && !s.cell.fault.static {
		s.Fatal("the target looks as it did before")
	}
	s.login()
	s.reachPhase()
	pages := s.browse()
	heal := sync.OnceFunc(s.cell.fault.inject(s))
	defer heal()
	s.releaseRun()
	if duration := s.cell.fault.duration; duration > 0 {
		testenv.WaitAtMost(duration, s.ended)
	} else {
		testenv.WaitAtMost(runTimeout, s.ended)
		accepted = s.alsoAccepted(accepted)
	}
	out := pages.stop()
	heal()
	run := s.finalRun()
	after := s.snapshot(s.watched)
	out.end, out.reason = end{run.Status, classify(s.T, old, after, accepted)}, reasonOf(run)
	s.refresh(s.watched)
	s.refresh(s.reference)
	if got, want := s.snapshot(s.watched), s.snapshot(s.reference); got.digest != want.digest {
		s.Errorf("a refresh after the fault does not match the target:\n%s", differences(got.text, want.text))
	}
	testenv.WaitFor(s, "our connections to the target to close", func() bool { return s.target.connections(s.T) == 0 })
	return out
}

// runTimeout is how long a run may take to end by its own deadlines, on a busy machine.
const runTimeout = 3 * time.Minute

// alsoAccepted appends what a refresh of the reference finds during the fault, if it succeeds: the fault may have
// changed the target.
func (s *scenario) alsoAccepted(accepted []snapshot) []snapshot {
	if !s.cell.fault.altersTarget {
		return accepted
	}
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Patience)
	defer cancel()
	request := jobs.Tables(models.Requester{}, s.reference, s.target.database())
	if _, err := s.runner.RequestAndWait(ctx, request); err != nil {
		return accepted
	}
	return append(accepted, s.snapshot(s.reference))
}

func (s *scenario) refresh(instance int64) {
	s.Helper()
	request := jobs.Tables(models.Requester{}, instance, s.target.database())
	if _, err := s.runner.RequestAndWait(context.Background(), request); err != nil {
		s.Fatalf("refresh without a fault: %v", err)
	}
}

// reachPhase starts the run and holds it in the phase of the cell.
func (s *scenario) reachPhase() {
	s.Helper()
	hold := "querying" // also of the collection that a queued run waits for, and of one that is about to store
	if s.cell.phase == "connecting" {
		hold = "connecting"
	}
	held, release := s.target.hold(s.T, hold)
	release = sync.OnceFunc(release)
	s.releases = append(s.releases, release)
	if s.cell.phase == "queued" {
		s.occupyTarget()
		testenv.WaitForSignal(s, "a collection to be "+hold, held)
		s.startRun()
	} else {
		s.startRun()
		testenv.WaitForSignal(s, "a collection to be "+hold, held)
	}
	if s.cell.phase == "storing" {
		s.releases = append(s.releases, s.storage.hold(s.T))
		release()
	}
	testenv.WaitFor(s, "the run to be "+s.cell.phase, func() bool {
		run := s.currentRun()
		return string(run.Phase) == s.cell.phase || string(run.Status) == s.cell.phase
	})
}

// occupyTarget starts another collection of the watched instance.
func (s *scenario) occupyTarget() {
	s.Helper()
	if other := s.target.other(); other != "" {
		_, err := s.runner.Request(context.Background(), jobs.Tables(models.Requester{}, s.watched, other))
		must(s, err)
		return
	}
	s.others.Go(func() {
		_, _ = s.runner.RequestAndWait(context.Background(), jobs.Databases(models.Requester{}, s.watched))
	})
}

func (s *scenario) startRun() {
	s.Helper()
	requester := models.Requester{Username: "someone"}
	run, err := s.runner.Request(context.Background(), jobs.Tables(requester, s.watched, s.target.database()))
	must(s, err)
	s.run = run.ID
}

// releaseRun lets the held run continue.
func (s *scenario) releaseRun() {
	for _, release := range s.releases {
		release()
	}
	s.releases = nil
}

func (s *scenario) currentRun() models.Run {
	s.Helper()
	run, err := s.runner.Run(context.Background(), s.run)
	must(s, err)
	return run
}

// ended reports whether the run's row says that it has ended; false if the store does not answer.
func (s *scenario) ended() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	run, err := s.runner.Run(ctx, s.run)
	return err == nil && run.Ended()
}

// finalRun waits for the run to end and returns it. If the store could not save the outcome, finalRun restarts the
// product, with the clock set forward as if minutes had passed.
func (s *scenario) finalRun() models.Run {
	s.Helper()
	if !testenv.WaitAtMost(outcomeTimeout, s.ended) {
		s.stop()
		s.clock.jump(5 * time.Minute)
		s.start()
		testenv.WaitFor(s, "the run to end after a restart", s.ended)
	}
	return s.currentRun()
}

// outcomeTimeout is how long the outcome of a run may take to be saved after a fault of the store.
const outcomeTimeout = 3 * time.Second

func reasonOf(run models.Run) string {
	if run.Failure == nil {
		return ""
	}
	text := string(run.Failure.Code) + " " + run.Failure.Key
	if reason := run.Failure.Reason; reason != "" {
		text += " " + reason
	}
	return text
}

// snapshot is what the store knows about the tables of the database.
type snapshot struct {
	no     int64
	digest string // of text
	text   string // header and rows without ids, times and growth, which depends on other snapshots
}

func (s *scenario) snapshot(instance int64) snapshot {
	s.Helper()
	return snapshotOf(s.T, s.store, instance, s.target.database())
}

func snapshotOf(t *testing.T, store *models.Store, instance int64, database string) snapshot {
	t.Helper()
	known, err := store.Database(context.Background(), instance, database)
	must(t, err)
	var rows []string
	for cursor := ""; ; {
		query := models.TableQuery{DatabaseID: known.ID, Limit: 1000, Cursor: cursor}
		page, err := store.TableSizes(context.Background(), query)
		must(t, err)
		for _, r := range page.Rows {
			kept := r.KeptFrom != nil
			r.ID, r.KeptFrom, r.RowsAt, r.Growth7, r.Growth30 = 0, nil, nil, nil, nil
			rows = append(rows, fmt.Sprint(kept, asJSON(t, r)))
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	slices.Sort(rows)
	header := known.Snapshot
	header.SnapshotNo, header.CollectedAt, header.ElapsedMS, header.GrowthDay = 0, nil, 0, nil
	text := asJSON(t, header) + "\n" + strings.Join(rows, "\n")
	return snapshot{no: known.SnapshotNo, digest: fmt.Sprintf("%x", sha256.Sum256([]byte(text))), text: text}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return string(text)
}

// classify returns "old" or "new", or fails the test if the snapshot is neither.
func classify(t *testing.T, old, after snapshot, accepted []snapshot) string {
	t.Helper()
	if after == old {
		return "old"
	}
	for _, candidate := range accepted {
		if after.digest == candidate.digest && after.no > old.no {
			return "new"
		}
	}
	t.Errorf("snapshot %d is neither the old one (%d) nor a new one:\n%s",
		after.no, old.no, differences(after.text, accepted[len(accepted)-1].text))
	return "broken"
}

// differences returns the first few lines that only one of the texts has.
func differences(got, want string) string {
	var out []string
	for mark, pair := range map[string][2]string{"+ ": {got, want}, "- ": {want, got}} {
		other := strings.Split(pair[1], "\n")
		for line := range strings.Lines(pair[0]) {
			if line = strings.TrimSuffix(line, "\n"); !slices.Contains(other, line) && len(out) < 6 {
				out = append(out, mark+line)
			}
		}
	}
	return strings.Join(out, "\n")
}

// login logs the client in as an admin.
func (s *scenario) login() {
	s.Helper()
	const password = "Measure-me-1"
	admin := models.User{Username: "admin", Role: models.RoleAdmin, IsActive: true}
	_, err := s.store.CreateUser(context.Background(), admin, password)
	must(s, err)
	s.client = newClient(s.T)
	logIn(s.T, s.client, s.web.URL, password)
}

func newClient(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &http.Client{Jar: jar, Timeout: testenv.Patience}
}

// logIn logs in and returns the CSRF token of the session.
func logIn(t *testing.T, client *http.Client, base, password string) (token string) {
	t.Helper()
	csrf := func() string {
		var data struct {
			Token string `json:"csrf_token"`
		}
		call(t, client, http.MethodGet, base+"/api/v1/auth/csrf-token", "", nil, &data)
		return data.Token
	}
	credentials := map[string]any{"username": "admin", "password": password}
	call(t, client, http.MethodPost, base+"/api/v1/auth/login", csrf(), credentials, nil)
	return csrf()
}

// call sends the body as JSON, preferring an asynchronous response, and decodes the data of the response unless data is
// nil. A status of 400 or more ends the test.
func call(t *testing.T, client *http.Client, method, address, token string, body, data any) {
	t.Helper()
	content := strings.NewReader(asJSON(t, body))
	request, err := http.NewRequestWithContext(context.Background(), method, address, content)
	must(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-CSRFToken", token)
	request.Header.Set("Prefer", "respond-async")
	response, err := client.Do(request)
	must(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s\n%.1000s", method, address, response.Status, answer)
	}
	if data != nil {
		must(t, json.Unmarshal(answer, &struct{ Data any }{data}))
	}
}

// browsing requests pages in the background until stop.
type browsing struct {
	done  chan struct{}
	ended chan result
}

const (
	pagePause = 5 * time.Millisecond // between two requests
	minPages  = 20                   // requests, however soon stop is called
)

// browse starts requesting the pages that a user would look at during a run.
func (s *scenario) browse() *browsing {
	s.Helper()
	return browse(s.client, s.web.URL,
		"/instances", fmt.Sprintf("/instances/%d", s.watched),
		fmt.Sprintf("/instances/%d/databases/%s/tables", s.watched, s.target.database()),
		fmt.Sprintf("/api/v1/refreshes/%d", s.run))
}

// browse starts requesting the paths in turn. It warms each up with one request that is not measured.
func browse(client *http.Client, base string, paths ...string) *browsing {
	for _, path := range paths {
		_ = fetch(client, base+path)
	}
	b := &browsing{done: make(chan struct{}), ended: make(chan result, 1)}
	go func() {
		var out result
		for i := 0; ; i++ {
			start := time.Now()
			if !fetch(client, base+paths[i%len(paths)]) {
				out.refused++
			}
			out.took = append(out.took, time.Since(start))
			time.Sleep(pagePause)
			select {
			case <-b.done:
				if len(out.took) >= minPages {
					b.ended <- out
					return
				}
			default:
			}
		}
	}()
	return b
}

// fetch gets a page and reports whether the server answered, if only with a client error.
func fetch(client *http.Client, address string) bool {
	response, err := client.Get(address)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.Body.Close() == nil && response.StatusCode < http.StatusInternalServerError
}

// stop ends the requests and returns their latencies and failures.
func (b *browsing) stop() result {
	close(b.done)
	return <-b.ended
}
