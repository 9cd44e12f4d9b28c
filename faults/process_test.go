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
	"syscall"
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

// child is the product in a process of its own.
type child struct {
	*testing.T
	cell    cell
	binary  string
	dir     string // of its data
	storage storage
	target  target

	cmd    *exec.Cmd
	base   string
	client *http.Client
	token  string
}

const childPassword = "Measure-me-1"

func (c *child) start() {
	c.Helper()
	address := "127.0.0.1:" + strconv.Itoa(testenv.FreePort(c))
	c.cmd = exec.Command(c.binary, "--addr", address, "--data-dir", c.dir, "--log-level=error", "--timezone=UTC")
	c.cmd.Env = append(os.Environ(), "WHALEFALL_ADMIN_PASSWORD="+childPassword, "WHALEFALL_STORE="+c.storage.address())
	if c.target.proxy() == nil {
		c.cmd.Env = append(c.cmd.Env, "WHALEFALL_SQLITE_DIRS="+filepath.Dir(c.target.instance().DatabaseName))
	}
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(c, c.cmd.Start())
	c.base = "http://" + address
	c.client = newClient(c.T)
	eventually(c, "the product answers", func() bool {
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
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
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
			"name": name, "credential_type": "database", "db_type": i.DBType, "username": c.target.account(), "password": c.target.password(),
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
	c.call(http.MethodPost, fmt.Sprintf("/instances/%d/databases/%s/tables/sizes/actions/refresh", instance, url.PathEscape(database)), nil, &run)
	if run.ID == 0 {
		c.Fatal("no run was started")
	}
	return run.ID
}

// refreshed is refresh to its good end.
func (c *child) refreshed(instance int64) {
	c.Helper()
	id := c.refresh(instance, c.target.database())
	var status string
	within(runWithin, func() bool {
		status = c.status(id)
		return status != "running" && status != "queued"
	})
	if status != "succeeded" {
		c.Fatalf("a refresh without a fault: %s", status)
	}
}

func (c *child) status(id int64) string { return c.look(id).Status }

type runJSON struct{ Status, Phase string }

func (c *child) look(id int64) (run runJSON) {
	c.Helper()
	c.call(http.MethodGet, fmt.Sprintf("/refreshes/%d", id), nil, &run)
	return run
}

// snapshot reads the store beside the product.
func (c *child) snapshot(instance int64) snapshot {
	c.Helper()
	keys, err := models.LoadKeyset(filepath.Join(c.dir, "keyset.json"), "")
	must(c, err)
	store, err := models.Open(context.Background(), models.Options{Address: c.storage.address(), Keyset: keys, Zone: time.UTC})
	must(c, err)
	defer store.Close()
	return snapshotOf(c.T, store, instance, c.target.database())
}

// playProcessKilled is stage.play for the product in a process of its own.
func playProcessKilled(h *hall, t *testing.T, cell cell) result {
	t.Helper()
	c := &child{T: t, cell: cell, binary: h.binary(), dir: t.TempDir(), storage: h.storage(t, cell), target: h.targets[cell.engine]}
	copyFile(t, h.keyset, filepath.Join(c.dir, "keyset.json"))
	c.target.grow(t, 1)
	c.start()
	stop := func() { c.kill() }
	defer func() { stop() }()
	watched, reference := c.register("watched", c.target.instance()), c.register("reference", c.target.direct())
	c.refreshed(watched)
	old := c.snapshot(watched)
	c.target.grow(t, 1)
	run, letGo := c.reach(watched)
	c.kill()
	letGo()
	after := c.snapshot(watched)
	c.minuteLater()
	c.start()
	if after != old {
		t.Error("what was there when the process died is not the old snapshot")
	}
	var out result
	within(runWithin, func() bool {
		out.end.status = models.RunStatus(c.status(run))
		return out.end.status != models.RunRunning && out.end.status != models.RunQueued
	})
	after = c.snapshot(watched)
	c.refreshed(reference)
	out.end.snapshot = judge(t, old, after, []snapshot{c.snapshot(reference)})
	pages := browse(c.client, c.base, "/instances", fmt.Sprintf("/instances/%d/databases/%s/tables", watched, c.target.database()))
	c.refreshed(watched)
	measured := pages.stop()
	out.took, out.refused = measured.took, measured.refused
	if c.snapshot(watched).digest != c.snapshot(reference).digest {
		t.Error("a refresh after the fault does not find what is there")
	}
	c.kill()
	stop = func() {}
	eventually(t, "no connection is left on the target", func() bool { return c.target.connections(t) == 0 })
	return out
}

// reach starts a run and holds it in the phase of the cell.
func (c *child) reach(watched int64) (run int64, letGo func()) {
	c.Helper()
	phase := c.cell.phase
	wire := c.target.proxy()
	if wire == nil {
		return c.reachStoring(watched, func() {}) // the only phase that another process can be held in
	}
	met, release := c.target.hold(c.T, map[bool]string{true: "connecting", false: "querying"}[phase == "connecting"])
	release = sync.OnceFunc(release)
	switch phase {
	case "queued":
		c.refresh(watched, c.target.other())
		await(c, "a collection has begun", met)
		run = c.refresh(watched, c.target.database())
	case "storing":
		return c.reachStoring(watched, func() { await(c, "a collection has begun", met) }, release)
	default:
		run = c.refresh(watched, c.target.database())
		await(c, "a collection has begun", met)
	}
	c.waitFor(run)
	return run, release
}

// reachStoring holds the store as soon as the run has begun.
func (c *child) reachStoring(watched int64, begun func(), release ...func()) (run int64, letGo func()) {
	c.Helper()
	if c.target.proxy() != nil {
		run = c.refresh(watched, c.target.database())
		begun()
		letGo = c.storage.hold(c.T)
		for _, r := range release {
			r()
		}
		c.waitFor(run)
		return run, letGo
	}
	release2 := c.slowFile()
	run = c.refresh(watched, c.target.database())
	letGo = c.storage.hold(c.T)
	release2()
	c.waitFor(run)
	return run, letGo
}

func (c *child) waitFor(run int64) {
	c.Helper()
	eventually(c, "the run is "+c.cell.phase, func() bool {
		is := c.look(run)
		return is.Phase == c.cell.phase || is.Status == c.cell.phase
	})
}

// slowFile has a read of the target's file wait for a lock, which it does for 2 s.
func (c *child) slowFile() (release func()) { return c.target.lock(c.T) }

// minuteLater has the store of several processes believe that the process has been silent for long.
func (c *child) minuteLater() {
	c.Helper()
	if p, shared := c.storage.(*postgresqlStorage); shared {
		p.server.Exec(c.T, p.name, "UPDATE collection_runs SET heartbeat_at = heartbeat_at - interval '5 minutes' WHERE ended_at IS NULL")
	}
}
