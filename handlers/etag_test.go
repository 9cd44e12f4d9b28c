package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

// tagOf returns the ETag of an answer.
func (c *client) tagOf(path string, headers ...string) string {
	c.Helper()
	f := c.download(path, headers...)
	equal(c, path+" status", f.status, http.StatusOK)
	tag := f.header.Get("ETag")
	if !strings.HasPrefix(tag, `W/"`) || len(tag) < 20 {
		c.Fatalf("%s: tag %q", path, tag)
	}
	equal(c, path+" Cache-Control", f.header.Get("Cache-Control"), "private, no-cache")
	return tag
}

// keeps reports whether the answer with the ETag is still current.
func (c *client) keeps(path, tag string, headers ...string) bool {
	c.Helper()
	f := c.download(path, append(headers, "If-None-Match", tag)...)
	if f.status == http.StatusNotModified {
		equal(c, path+" body of a 304", f.text, "")
		return true
	}
	equal(c, path+" status", f.status, http.StatusOK)
	return false
}

// readAddresses returns reads of a snapshot in every style and format.
func (a *app) readAddresses(instance, database string) []string {
	a.Helper()
	var all []string
	for _, path := range a.bothPaths(instance, database) {
		all = append(all, path, path+"?limit=1&sort=name", path+"?format=csv", path+"?format=csv&bom=1",
			path+"?format=ndjson", path+"?table_name=x")
	}
	return append(all, instance+"/databases/sizes", instance+"/databases/sizes?latest_only=1",
		"/databases/sizes?instance_id="+strings.TrimPrefix(instance, "/instances/"))
}

// saveSizes stores the databases of one capacity sync.
func (a *app) saveSizes(instance string, at time.Time, found ...models.DatabaseSize) {
	a.Helper()
	var id int64
	_, err := fmt.Sscanf(instance, "/instances/%d", &id)
	check(a, err)
	result := models.DatabaseResult{Complete: true, Databases: found}
	_, err = a.store.SaveInventory(a.Context(), id, result, at)
	check(a, err)
	_, err = a.store.SaveDatabaseSizes(a.Context(), id, result, at)
	check(a, err)
}

func TestETag_NotModified(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		a.saveSizes(inst, a.now(), models.DatabaseSize{Name: "app", Total: n(1)})
		a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: manyTables(3)})
		seen := map[string]string{}
		for _, path := range a.readAddresses(inst, "app") {
			tag := a.guest.tagOf(path)
			if other, twice := seen[tag]; twice {
				a.Errorf("%s and %s have the same tag", path, other)
			}
			seen[tag] = path
			equal(a, "again", a.user.tagOf(path), tag)
			strong := strings.TrimPrefix(tag, "W/")
			for _, given := range []string{
				tag, strong, "*", " " + tag + " ", `"x", ` + tag, tag + `, W/"y"`, `W/"a","b",` + strong,
			} {
				equal(a, path+" If-None-Match: "+given, a.guest.keeps(path, given), true)
			}
			for _, given := range []string{
				"", `"x"`, strings.Trim(strong, `"`), strong[:10], `"x", *`, strings.ToUpper(strong),
			} {
				equal(a, path+" If-None-Match: "+given, a.guest.keeps(path, given), false)
			}
			checkNotModified(a, path, tag)
			a.anonymous.with("If-None-Match", tag).
				get(path).
				wantCode(http.StatusUnauthorized, models.CodeUnauthenticated, "请先登录")
		}
		for _, path := range a.bothPaths(inst, "app") {
			for _, bad := range []string{"limit=0", "cursor=x", "format=x"} {
				r := a.guest.with("If-None-Match", "*").get(path + "?" + bad)
				equal(a, bad, r.status, http.StatusBadRequest)
				equal(a, bad+" kept", r.header.Get("Cache-Control")+r.header.Get("ETag"), "no-store")
			}
		}
		a.guest.with("If-None-Match", "*").
			get("/instances/4711/databases/sizes").
			wantCode(http.StatusNotFound, models.CodeNotFound, "实例不存在")
		for _, elsewhere := range []string{"/instances", inst} {
			equal(a, elsewhere, a.guest.get(elsewhere).header.Get("Cache-Control"), "no-store")
		}
	})
}

// checkNotModified checks that a 304 has the headers of the answer it replaces, also to HEAD.
func checkNotModified(a *app, path, tag string) {
	a.Helper()
	full := a.guest.download(path)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		kept := a.guest.read(method, "/api/v1"+path, "If-None-Match", tag)
		equal(a, path+" "+method, kept.status, http.StatusNotModified)
		for _, name := range []string{"ETag", "Cache-Control", "Vary"} {
			equal(a, path+" "+name, strings.Join(kept.header.Values(name), ","), strings.Join(full.header.Values(name), ","))
		}
		equal(a, path+" length", kept.header.Get("Content-Length")+kept.header.Get("Content-Type"), "")
	}
	vary := strings.Join(full.header.Values("Vary"), ",")
	for _, name := range []string{"Accept", "Accept-Language", "Cookie", "Authorization", "Accept-Encoding"} {
		equal(a, "Vary: "+name, strings.Contains(","+strings.ReplaceAll(vary, " ", "")+",", ","+name+","), true)
	}
	head := a.guest.read(http.MethodHead, "/api/v1"+path)
	equal(a, "HEAD "+path, head.header.Get("ETag"), tag)
	equal(a, "HEAD "+path, head.status, http.StatusOK)
}

func TestETag_ChangesWithSnapshot(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		same := manyTables(3)
		never := a.guest.tagOf(tablesPath(inst, "app"))
		a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: same})
		steps := []struct {
			what string
			do   func()
		}{
			{"nothing but the time", func() { a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: same}) }},
			{"kept rows", func() { a.snapshotOf(inst, "app", models.TableResult{Tables: same[1:]}) }},
			{"a size", func() {
				same[0].Total = n(77)
				a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: same})
			}},
			{"all is gone", func() { a.snapshotOf(inst, "app", models.TableResult{Complete: true}) }},
			{"all is still gone", func() { a.snapshotOf(inst, "app", models.TableResult{Complete: true}) }},
		}
		paths := a.bothPaths(inst, "app")
		addresses := []string{paths[0], paths[1], paths[0] + "?format=csv", paths[1] + "?format=ndjson"}
		for _, step := range steps {
			before := map[string]string{}
			for _, path := range addresses {
				before[path] = a.guest.tagOf(path)
			}
			step.do()
			for path, tag := range before {
				equal(a, step.what+": "+path, a.guest.keeps(path, tag), false)
			}
		}
		equal(a, "never collected", a.guest.keeps(paths[0], never), false)
	})
}

func TestETag_ChangesWithRequest(t *testing.T) {
	onBothStores(t, func(a *app) {
		one, two := a.serverInstance("one", models.PostgreSQL), a.serverInstance("two", models.PostgreSQL)
		for _, inst := range []string{one, two} {
			for _, database := range []string{"app", "App"} {
				a.snapshotOf(inst, database, models.TableResult{Complete: true, Tables: manyTables(3)})
			}
		}
		for _, path := range a.readAddresses(one, "app") {
			tag := a.guest.tagOf(path)
			english := a.guest.tagOf(path, "Accept-Language", "en")
			equal(a, path+" in English", english == tag, false)
			equal(a, path+" in English", a.guest.keeps(path, tag, "Accept-Language", "en"), false)
			equal(a, path+" by cookie", a.guest.keeps(path, english, "Cookie", "lang=en"), true)
		}
		tag := a.guest.tagOf(tablesPath(one, "app"))
		for _, other := range []string{
			tablesPath(one, "App"), tablesPath(two, "app"), tablesPath(one, "unknown"), tablesPath(two, "unknown"),
		} {
			equal(a, other, a.guest.keeps(other, tag), false)
		}
		equal(a, "unknown", a.guest.keeps(tablesPath(one, "x"), a.guest.tagOf(tablesPath(two, "x"))), false)
		equal(a, "unknown", a.guest.keeps(tablesPath(one, "x"), a.guest.tagOf(tablesPath(one, "x"))), true)
		equal(a, "databases", a.guest.keeps(one+"/databases/sizes", a.guest.tagOf(two+"/databases/sizes")), false)
		for _, accept := range []string{"text/csv", "application/x-ndjson"} {
			equal(a, accept, a.guest.keeps(tablesPath(one, "app"), tag, "Accept", accept), false)
		}
	})
}

func TestETag_DatabaseSizes(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		now := a.now()
		a.saveSizes(inst, now, models.DatabaseSize{Name: "app", Total: n(1)}, models.DatabaseSize{Name: "b", Total: n(2)})
		refused := &models.Error{
			Code: models.CodeCollection,
			Key:  "collect.postgresql.not_connectable",
			Args: models.Args("Name", "b"),
		}
		latest := inst + "/databases/sizes?latest_only=1&include_inactive=1"
		for _, step := range []struct {
			what  string
			found []models.DatabaseSize
		}{
			{"a size", []models.DatabaseSize{{Name: "app", Total: n(3)}, {Name: "b", Total: n(2)}}},
			{"nothing but the time", []models.DatabaseSize{{Name: "app", Total: n(3)}, {Name: "b", Total: n(2)}}},
			{"refused", []models.DatabaseSize{{Name: "app", Total: n(3)}, {Name: "b", Err: refused}}},
			{"gone", []models.DatabaseSize{{Name: "app", Total: n(3)}}},
		} {
			tag := a.guest.tagOf(latest)
			now = now.Add(time.Second)
			a.saveSizes(inst, now, step.found...)
			equal(a, step.what, a.guest.keeps(latest, tag), false)
		}
	})
}

// TestETag_RecreatedDatabase checks a new database with the same names, whose snapshots count from one again.
func TestETag_RecreatedDatabase(t *testing.T) {
	onBothStores(t, func(a *app) {
		inst := a.serverInstance("pg", models.PostgreSQL)
		a.snapshotOf(inst, "app", models.TableResult{Complete: true, Tables: manyTables(3)})
		path := tablesPath(inst, "app")
		tag := a.guest.tagOf(path)
		a.admin.remove(inst).want(http.StatusOK, "实例已移入回收站")
		a.guest.with("If-None-Match", tag).get(path).wantCode(http.StatusNotFound, models.CodeNotFound, "实例不存在")
		var id int64
		_, err := fmt.Sscanf(inst, "/instances/%d", &id)
		check(a, err)
		a.admin.post("/instances/batch-delete", obj{"instance_ids": []int64{id}, "deletion_mode": "hard"}).
			want(http.StatusOK, "成功删除 1 个实例")
		again := a.serverInstance("pg", models.PostgreSQL)
		a.snapshotOf(again, "app", models.TableResult{Complete: true, Tables: manyTables(3)})
		equal(a, "made anew", a.guest.keeps(tablesPath(again, "app"), tag), false)
	})
}
