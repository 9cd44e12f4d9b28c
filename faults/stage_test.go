package faults

import (
	"bytes"
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
	"whalefall/handlers"
	"whalefall/migrations"
	"whalefall/models"
	"whalefall/testenv"
)

// hall has the servers that all cells use one after the other.
type hall struct {
	targets map[string]target
	store   *testenv.PostgreSQLServer // of PostgreSQL stores
	binary  func() string             // builds the product once
	keyset  string                    // path of that of all stores
	empty   string                    // path of an embedded store that is migrated and empty
	serial  atomic.Int64
}

// template is the database on the server for stores that is migrated and empty.
const template = "store_template"

func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{
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

func (h *hall) keys(t *testing.T) models.Keyset {
	t.Helper()
	keys, err := models.LoadKeyset(h.keyset, "")
	must(t, err)
	return keys
}

// storage is a fresh one for the cell.
func (h *hall) storage(t *testing.T, c cell) storage {
	t.Helper()
	if c.store == "SQLite" {
		s := newSQLiteStorage(t, c.fault.small)
		copyFile(t, h.empty, s.address())
		return s
	}
	return newPostgreSQLStorage(t, h.store, fmt.Sprintf("store_%d", h.serial.Add(1)), c.fault.small)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, content, 0o600))
}

func (h *hall) try(t *testing.T, c cell) result {
	t.Helper()
	if c.fault.play != nil {
		return c.fault.play(h, t, c)
	}
	s := newStage(t, h, c)
	defer s.close()
	return s.play()
}

// clock is the time as the product sees it.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// jump sets the clock.
func (c *clock) jump(by time.Duration) { c.ahead.Add(int64(by)) }

// stage is the product in this process over a store of its own, before one target.
type stage struct {
	*testing.T
	cell    cell
	clock   clock
	storage storage
	target  target
	store   *models.Store
	service *collectors.Service
	web     *httptest.Server
	log     *slog.Logger
	client  *http.Client

	watched   int64 // the instance that the run is about, by way of the proxy
	reference int64 // the same server without it
	run       int64
	let       []func() // what lets the run go on
	others    sync.WaitGroup
}

func newStage(t *testing.T, h *hall, c cell) *stage {
	t.Helper()
	s := &stage{
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

// start starts the service and the pages over the store, as a process does.
func (s *stage) start() {
	s.Helper()
	s.service = collectors.NewService(s.store, s.target.engines(), s.log)
	must(s, s.service.Resume(context.Background()))
	s.web = httptest.NewServer(handlers.New(handlers.Config{
		Store: s.store, Collect: s.service, Zone: time.UTC, CookieSecure: "false", Log: s.log, Version: "faults",
	}))
}

// stop ends what start has started.
func (s *stage) stop() {
	s.Helper()
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	s.web.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(s, s.service.Close(ctx))
}

func (s *stage) close() {
	s.Helper()
	s.stop()
	s.others.Wait()
	must(s, s.store.Close())
}

func (s *stage) register(name string, i models.Instance) int64 {
	s.Helper()
	i.Name, i.IsActive, i.TLSMode = name, true, models.TLSDisable
	var credential *models.NewCredential
	if i.DBType != models.SQLite {
		credential = &models.NewCredential{Username: s.target.account(), Password: s.target.password()}
	}
	made, err := s.store.CreateInstance(context.Background(), i, nil, credential)
	must(s, err)
	return made.ID
}

// play is one cell: an old snapshot, a target that has changed since, a run that the fault meets in the phase.
func (s *stage) play() result {
	s.Helper()
	s.target.grow(s.T, 1)
	s.refresh(s.watched)
	s.refresh(s.reference)
	old := s.snapshot(s.watched)
	if !s.cell.fault.still {
		s.target.grow(s.T, max(1, s.cell.fault.tables))
	}
	s.refresh(s.reference)
	news := []snapshot{s.snapshot(s.reference)}
	if news[0].digest == old.digest && !s.cell.fault.still {
		s.Fatal("the target looks as it did before")
	}
	s.login()
	s.reach()
	pages := s.browse()
	heal := sync.OnceFunc(s.cell.fault.strike(s))
	defer heal()
	s.letGo()
	if lasts := s.cell.fault.lasts; lasts > 0 {
		within(lasts, s.ended)
	} else {
		within(runWithin, s.ended)
		news = s.alsoNew(news)
	}
	out := pages.stop()
	heal()
	row := s.row()
	after := s.snapshot(s.watched)
	out.end, out.reason = end{row.Status, judge(s.T, old, after, news)}, reasonOf(row)
	s.refresh(s.watched)
	s.refresh(s.reference)
	if got, want := s.snapshot(s.watched), s.snapshot(s.reference); got.digest != want.digest {
		s.Errorf("a refresh after the fault does not find what is there:\n%s", differences(got.text, want.text))
	}
	eventually(s, "no connection is left on the target", func() bool { return s.target.connections(s.T) == 0 })
	return out
}

// runWithin is how long a run may take to end by its own deadlines.
const runWithin = 100 * time.Second

// alsoNew adds what the reference finds while the fault lasts, if it finds anything: the fault may have changed the target.
func (s *stage) alsoNew(news []snapshot) []snapshot {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if !s.cell.fault.alters {
		return news
	}
	if _, err := s.service.Refresh(ctx, models.Requester{}, s.reference, s.target.database()); err != nil {
		return news
	}
	return append(news, s.snapshot(s.reference))
}

func (s *stage) refresh(instance int64) {
	s.Helper()
	if _, err := s.service.Refresh(context.Background(), models.Requester{}, instance, s.target.database()); err != nil {
		s.Fatalf("a refresh without a fault: %v", err)
	}
}

// reach starts the run and holds it in the phase.
func (s *stage) reach() {
	s.Helper()
	hold := map[string]string{"queued": "querying", "connecting": "connecting", "querying": "querying", "storing": "querying"}[s.cell.phase]
	held, release := s.target.hold(s.T, hold)
	release = sync.OnceFunc(release)
	s.let = append(s.let, release)
	if s.cell.phase == "queued" {
		s.occupy()
		await(s, "a collection is "+hold, held)
		s.begin()
	} else {
		s.begin()
		await(s, "a collection is "+hold, held)
	}
	if s.cell.phase == "storing" {
		s.let = append(s.let, s.storage.hold(s.T))
		release()
	}
	eventually(s, "the run is "+s.cell.phase, func() bool {
		run := s.look()
		return string(run.Phase) == s.cell.phase || string(run.Status) == s.cell.phase
	})
}

// occupy has the target read for something else.
func (s *stage) occupy() {
	s.Helper()
	if other := s.target.other(); other != "" {
		_, err := s.service.StartRefresh(context.Background(), models.Requester{}, s.watched, other)
		must(s, err)
		return
	}
	s.others.Go(func() { _, _ = s.service.SyncCapacity(context.Background(), models.Requester{}, s.watched) })
}

func (s *stage) begin() {
	s.Helper()
	run, err := s.service.StartRefresh(context.Background(), models.Requester{Username: "someone"}, s.watched, s.target.database())
	must(s, err)
	s.run = run.ID
}

// letGo ends what holds the run.
func (s *stage) letGo() {
	for _, release := range s.let {
		release()
	}
	s.let = nil
}

func (s *stage) look() models.Run {
	s.Helper()
	run, err := s.service.Run(context.Background(), s.run)
	must(s, err)
	return run
}

// ended reports whether the row says how the run has ended; a store that does not answer says nothing.
func (s *stage) ended() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	run, err := s.service.Run(ctx, s.run)
	return err == nil && run.Ended()
}

// row is the run's row when it has ended. Where the store could not take that, the product is started again, minutes later.
func (s *stage) row() models.Run {
	s.Helper()
	if !within(rowWithin, s.ended) {
		s.stop()
		s.clock.jump(5 * time.Minute)
		s.start()
		eventually(s, "the row says that the run has ended", s.ended)
	}
	return s.look()
}

// rowWithin is how long the row of a run may say that it goes on after a fault of the store.
const rowWithin = 3 * time.Second

func reasonOf(run models.Run) string {
	if run.Failure == nil {
		return ""
	}
	text := string(run.Failure.Code) + " " + run.Failure.Key
	if reason, told := run.Failure.Extra["reason"].(string); told {
		text += " " + reason
	}
	return text
}

// snapshot is what the store has of the database.
type snapshot struct {
	no     int64
	digest string // of text
	text   string // header and rows, without ids, times and growth, which is about other snapshots
}

func (s *stage) snapshot(instance int64) snapshot {
	s.Helper()
	return snapshotOf(s.T, s.store, instance, s.target.database())
}

func snapshotOf(t *testing.T, store *models.Store, instance int64, database string) snapshot {
	t.Helper()
	known, err := store.Database(context.Background(), instance, database)
	must(t, err)
	var rows []string
	for cursor := ""; ; {
		page, err := store.TableSizes(context.Background(), models.TableQuery{DatabaseID: known.ID, Limit: 1000, Cursor: cursor})
		must(t, err)
		for _, r := range page.Rows {
			kept := r.KeptFrom != nil
			r.ID, r.KeptFrom, r.RowsAt, r.Growth = 0, nil, nil, nil
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

// judge says which snapshot it is, or fails the test: it is a third one.
func judge(t *testing.T, old, after snapshot, news []snapshot) string {
	t.Helper()
	if after == old {
		return "old"
	}
	for _, wanted := range news {
		if after.digest == wanted.digest && after.no > old.no {
			return "new"
		}
	}
	t.Errorf("snapshot %d is neither the old one (%d) nor the new one:\n%s", after.no, old.no, differences(after.text, news[len(news)-1].text))
	return "broken"
}

// differences are the lines that only one of the texts has, at most a few.
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

// login has the client logged in as an admin.
func (s *stage) login() {
	s.Helper()
	const password = "Measure-me-1"
	_, err := s.store.CreateUser(context.Background(), models.User{Username: "admin", Role: models.RoleAdmin, IsActive: true}, password)
	must(s, err)
	s.client = newClient(s.T)
	logIn(s.T, s.client, s.web.URL, password)
}

func newClient(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &http.Client{Jar: jar, Timeout: patience}
}

// logIn logs in and returns the token that writes must carry from then on.
func logIn(t *testing.T, client *http.Client, base, password string) (token string) {
	t.Helper()
	csrf := func() string {
		var data struct {
			Token string `json:"csrf_token"`
		}
		call(t, client, http.MethodGet, base+"/api/v1/auth/csrf-token", "", nil, &data)
		return data.Token
	}
	call(t, client, http.MethodPost, base+"/api/v1/auth/login", csrf(), map[string]any{"username": "admin", "password": password}, nil)
	return csrf()
}

// call sends body as JSON, asks not to wait for refreshes, and reads the answer's data.
func call(t *testing.T, client *http.Client, method, address, token string, body, data any) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, address, bytes.NewReader([]byte(asJSON(t, body))))
	must(t, err)
	for name, value := range map[string]string{"Content-Type": "application/json", "X-CSRFToken": token, "Prefer": "respond-async"} {
		request.Header.Set(name, value)
	}
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

// pages are requests for pages that go on until stop.
type pages struct {
	done  chan struct{}
	ended chan result
}

const (
	pageEvery  = 5 * time.Millisecond // the pause between two requests for pages
	pagesAtall = 20                   // requests that there are at least
)

// browse asks for pages as somebody does who looks on.
func (s *stage) browse() *pages {
	s.Helper()
	return browse(s.client, s.web.URL,
		"/instances", fmt.Sprintf("/instances/%d", s.watched),
		fmt.Sprintf("/instances/%d/databases/%s/tables", s.watched, s.target.database()),
		fmt.Sprintf("/api/v1/refreshes/%d", s.run))
}

// browse asks for each page once before it counts: the first request of a process pays for what all others find.
func browse(client *http.Client, base string, paths ...string) *pages {
	for _, path := range paths {
		_ = answered(client, base+path)
	}
	p := &pages{done: make(chan struct{}), ended: make(chan result, 1)}
	go func() {
		var out result
		for i := 0; ; i++ {
			began := time.Now()
			if !answered(client, base+paths[i%len(paths)]) {
				out.refused++
			}
			out.took = append(out.took, time.Since(began))
			time.Sleep(pageEvery)
			select {
			case <-p.done:
				if len(out.took) >= pagesAtall {
					p.ended <- out
					return
				}
			default:
			}
		}
	}()
	return p
}

// answered reports whether the page came, be it with a refusal of what was asked for.
func answered(client *http.Client, address string) bool {
	response, err := client.Get(address)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.Body.Close() == nil && response.StatusCode < http.StatusInternalServerError
}

// stop returns how the pages were answered.
func (p *pages) stop() result {
	close(p.done)
	return <-p.ended
}
