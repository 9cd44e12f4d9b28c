package faults

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv"
)

// build builds the product as it is shipped.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "whalefall")
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// child is the released program in a process of its own.
type child struct {
	*testing.T
	cell    cell
	binary  string
	dir     string // data directory
	storage storage
	target  target

	process *testenv.Process
	base    string
	client  *http.Client
	token   string // CSRF token
}

const childPassword = "Measure-me-1"

func (c *child) start() {
	c.Helper()
	address := "127.0.0.1:" + strconv.Itoa(testenv.FreePort(c))
	cmd := exec.Command(c.binary, "--addr", address, "--data-dir", c.dir, "--log-level=error", "--timezone=UTC")
	cmd.Env = append(os.Environ(), "WHALEFALL_ADMIN_PASSWORD="+childPassword, "WHALEFALL_STORE="+c.storage.address())
	if c.target.proxy() == nil {
		cmd.Env = append(cmd.Env, "WHALEFALL_SQLITE_DIRS="+filepath.Dir(c.target.instance().DatabaseName))
	}
	cmd.Stderr = os.Stderr
	c.process = testenv.StartProcess(c, cmd)
	c.base = "http://" + address
	c.client = newClient(c.T)
	testenv.WaitFor(c, "the program to be ready", func() bool {
		response, err := c.client.Get(c.base + "/readyz")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	})
	c.token = logIn(c.T, c.client, c.base, childPassword)
}

func (c *child) kill() {
	c.client.CloseIdleConnections()
	c.process.Kill()
}

func (c *child) call(method, path string, body, data any) {
	c.Helper()
	call(c.T, c.client, method, c.base+"/api/v1"+path, c.token, body, data)
}

func (c *child) register(name string, i models.Instance) int64 {
	c.Helper()
	body := map[string]any{"name": name, "db_type": i.DBType, "tls_mode": "disable", "database_name": i.DatabaseName}
	if i.Host != nil {
		body["host"], body["port"] = *i.Host, *i.Port
		var made struct{ Credential struct{ ID int64 } }
		c.call(http.MethodPost, "/credentials", map[string]any{
			"name": name, "credential_type": "database", "db_type": i.DBType,
			"username": c.target.account(), "password": c.target.password(),
		}, &made)
		body["credential_id"] = made.Credential.ID
	}
	var added struct{ Instance struct{ ID int64 } }
	c.call(http.MethodPost, "/instances", body, &added)
	return added.Instance.ID
}

// refresh starts a refresh and returns the id of its run.
func (c *child) refresh(instance int64, database string) int64 {
	c.Helper()
	var run struct{ ID int64 }
	path := fmt.Sprintf("/instances/%d/databases/%s/tables/sizes/actions/refresh", instance, url.PathEscape(database))
	c.call(http.MethodPost, path, nil, &run)
	if run.ID == 0 {
		c.Fatal("the response has no run")
	}
	return run.ID
}

// refreshed refreshes the target's database and waits until the run has succeeded.
func (c *child) refreshed(instance int64) {
	c.Helper()
	id := c.refresh(instance, c.target.database())
	var status string
	testenv.WaitAtMost(runTimeout, func() bool {
		status = c.status(id)
		return status != "running" && status != "queued"
	})
	if status != "succeeded" {
		c.Fatalf("refresh without a fault: got status %s", status)
	}
}

func (c *child) status(id int64) string { return c.look(id).Status }

type runJSON struct{ Status, Phase string }

func (c *child) look(id int64) (run runJSON) {
	c.Helper()
	c.call(http.MethodGet, fmt.Sprintf("/refreshes/%d", id), nil, &run)
	return run
}

// snapshot reads the snapshot from the store, whether the program runs or not.
func (c *child) snapshot(instance int64) snapshot {
	c.Helper()
	keys, err := models.LoadKeyset(filepath.Join(c.dir, "keyset.json"), "")
	must(c, err)
	store, err := models.Open(context.Background(), models.Options{
		Address: c.storage.address(), Keyset: keys, Zone: time.UTC,
	})
	must(c, err)
	defer store.Close()
	return snapshotOf(c.T, store, instance, c.target.database())
}

// runProcessKilled does what scenario.tryFault does, with the program in a process of its own that it kills.
func runProcessKilled(h *harness, t *testing.T, cell cell) result {
	t.Helper()
	c := &child{
		T: t, cell: cell, binary: h.binary(), dir: t.TempDir(), storage: h.storage(t, cell), target: h.targets[cell.engine],
	}
	copyFile(t, h.keyset, filepath.Join(c.dir, "keyset.json"))
	c.target.grow(t, 1)
	c.start()
	defer func() { c.kill() }()
	watched, reference := c.register("watched", c.target.instance()), c.register("reference", c.target.direct())
	c.refreshed(watched)
	old := c.snapshot(watched)
	c.target.grow(t, 1)
	run, release := c.reachPhase(watched)
	c.kill()
	release()
	after := c.snapshot(watched)
	c.ageHeartbeats()
	c.start()
	if after != old {
		t.Error("the killed process left another snapshot than the old one")
	}
	var out result
	testenv.WaitAtMost(runTimeout, func() bool {
		out.end.status = models.RunStatus(c.status(run))
		return out.end.status != models.RunRunning && out.end.status != models.RunQueued
	})
	after = c.snapshot(watched)
	c.refreshed(reference)
	out.end.snapshot = classify(t, old, after, []snapshot{c.snapshot(reference)})
	pages := browse(c.client, c.base, "/instances",
		fmt.Sprintf("/instances/%d/databases/%s/tables", watched, c.target.database()))
	c.refreshed(watched)
	measured := pages.stop()
	out.took, out.refused = measured.took, measured.refused
	if c.snapshot(watched).digest != c.snapshot(reference).digest {
		t.Error("a refresh after the fault does not match the target")
	}
	c.kill()
	testenv.WaitFor(t, "our connections to the target to close", func() bool { return c.target.connections(t) == 0 })
	return out
}

// reachPhase starts a run and holds it in the phase of the cell.
func (c *child) reachPhase(watched int64) (run int64, release func()) {
	c.Helper()
	if c.target.proxy() == nil {
		return c.reachStoringOfFile(watched) // the only phase that another process can be held in
	}
	hold := "querying"
	if c.cell.phase == "connecting" {
		hold = "connecting"
	}
	held, release := c.target.hold(c.T, hold)
	release = sync.OnceFunc(release)
	if c.cell.phase == "queued" {
		c.refresh(watched, c.target.other())
		testenv.WaitForSignal(c, "a collection to start", held)
		run = c.refresh(watched, c.target.database())
	} else {
		run = c.refresh(watched, c.target.database())
		testenv.WaitForSignal(c, "a collection to start", held)
	}
	if c.cell.phase == "storing" {
		queried := release
		release = c.storage.hold(c.T)
		queried()
	}
	c.waitForPhase(run)
	return run, release
}

// reachStoringOfFile holds the run of a SQLite file while it stores. The file is locked, which a read waits for during
// 2 s, until the store is held.
func (c *child) reachStoringOfFile(watched int64) (run int64, release func()) {
	c.Helper()
	unlock := c.target.lock(c.T)
	run = c.refresh(watched, c.target.database())
	release = c.storage.hold(c.T)
	unlock()
	c.waitForPhase(run)
	return run, release
}

func (c *child) waitForPhase(run int64) {
	c.Helper()
	testenv.WaitFor(c, "the run to be "+c.cell.phase, func() bool {
		now := c.look(run)
		return now.Phase == c.cell.phase || now.Status == c.cell.phase
	})
}

// ageHeartbeats makes a store of several processes look as if the killed process had been silent for minutes.
func (c *child) ageHeartbeats() {
	c.Helper()
	if p, shared := c.storage.(*postgresqlStorage); shared {
		p.server.Exec(c.T, p.name,
			"UPDATE collection_runs SET heartbeat_at = heartbeat_at - interval '5 minutes' WHERE ended_at IS NULL")
	}
}
