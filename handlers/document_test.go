package handlers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"whalefall/handlers"
	"whalefall/models"
)

func TestDocument_Valid(t *testing.T) {
	t.Parallel()
	d, err := documented()
	check(t, err)
	equal(t, "title", d.Info.Title, "鲸落")
	equal(t, "version", d.OpenAPI, "3.1.0")
	check(t, d.Validate(t.Context(), openapi3.EnableExamplesValidation()))
	check(t, handlers.CheckDocument())
	for path, item := range d.Paths.Map() {
		for method, o := range item.Operations() {
			examples := 0
			for kind, media := range o.Responses.Map() {
				if kind < "300" && len(media.Value.Content) > 0 {
					examples++
				}
			}
			if o.Summary == "" || o.OperationID == "" || o.Security == nil || len(o.Tags) != 1 || examples == 0 {
				t.Errorf("%s %s is not told of in full", method, path)
			}
			if body := o.RequestBody; body != nil && body.Value.Content["application/json"] != nil &&
				body.Value.Content["application/json"].Example == nil {
				t.Errorf("%s %s has no example of its body", method, path)
			}
		}
	}
}

// TestDocument_UniqueMembers matters to viewers that read JSON as YAML, where names must be unique.
func TestDocument_UniqueMembers(t *testing.T) {
	t.Parallel()
	decoder := json.NewDecoder(bytes.NewReader(handlers.Document()))
	var walk func(place string)
	walk = func(place string) {
		token, err := decoder.Token()
		check(t, err)
		seen := map[json.Token]bool{}
		for decoder.More() && (token == json.Delim('{') || token == json.Delim('[')) {
			below := place + "[]"
			if token == json.Delim('{') {
				name, err := decoder.Token()
				check(t, err)
				below = fmt.Sprintf("%s.%v", place, name)
				if seen[name] {
					t.Errorf("twice: %s", below)
				}
				seen[name] = true
			}
			walk(below)
		}
		if token == json.Delim('{') || token == json.Delim('[') {
			_, err := decoder.Token()
			check(t, err)
		}
	}
	walk("")
}

var routeParameter = regexp.MustCompile(`:(\w+)`)

func TestDocument_EveryRoute(t *testing.T) {
	t.Parallel()
	d, err := documented()
	check(t, err)
	var routes, told []string
	for _, r := range newApp(t, t.TempDir()+"/store.db").handler.(*echo.Echo).Routes() {
		if strings.HasPrefix(r.Path, "/api/v1/") && r.Method != http.MethodHead && r.Method != echo.RouteNotFound {
			routes = append(routes, r.Method+" "+routeParameter.ReplaceAllString(r.Path, "{$1}"))
		}
	}
	for path, item := range d.Paths.Map() {
		for method := range item.Operations() {
			told = append(told, method+" "+path)
		}
	}
	missing := slices.DeleteFunc(slices.Clone(routes), func(r string) bool { return slices.Contains(told, r) })
	extra := slices.DeleteFunc(told, func(o string) bool { return slices.Contains(routes, o) })
	t.Logf("missing=%d extra=%d", len(missing), len(extra))
	if len(missing)+len(extra) > 0 || len(routes) == 0 {
		t.Errorf("missing %v, extra %v of %d routes", missing, extra, len(routes))
	}
}

// TestDocument_Permissions calls every operation as nobody, guest and user.
func TestDocument_Permissions(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	d, err := documented()
	check(t, err)
	for path, item := range d.Paths.Map() {
		address := strings.TrimPrefix(strings.NewReplacer("{id}", "4711", "{name}", "x").Replace(path), "/api/v1")
		for method, o := range item.Operations() {
			permission, _ := o.Extensions["x-permission"].(string)
			open := permission == "anonymous"
			if status := a.anonymous.do(method, address, nil).status; (status == http.StatusUnauthorized) == open {
				t.Errorf("%s %s as nobody: %d, permission %s", method, path, status, permission)
			}
			if open || path == "/api/v1/auth/logout" {
				continue
			}
			for role, c := range map[models.Role]*client{models.RoleGuest: a.guest, models.RoleUser: a.user} {
				r := c.do(method, address, nil)
				may := permission == "logged-in" || role.May(models.Permission(permission))
				refused := r.status == http.StatusForbidden && r.body["message"] == "需要 "+permission+" 权限"
				if refused == may {
					t.Errorf("%s %s as %s: %d %v, permission %s", method, path, role, r.status, r.body["message"], permission)
				}
			}
		}
	}
}

func TestDocument_EveryMember(t *testing.T) {
	t.Parallel()
	d, err := documented()
	check(t, err)
	for name, schema := range d.Components.Schemas {
		for member, property := range schema.Value.Properties {
			if property.Value.Description == "" && property.Ref == "" {
				t.Errorf("%s.%s: %q", name, member, property.Value.Description)
			}
		}
	}
}

func TestDocument_Served(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	r := a.anonymous.get("/openapi.json")
	equal(t, "status", r.status, 200)
	equal(t, "type", r.header.Get("Content-Type"), "application/json")
	equal(t, "document", r.raw == string(handlers.Document()), true)
	again := a.anonymous.with("If-None-Match", r.header.Get("ETag")).get("/openapi.json")
	equal(t, "status", again.status, 304)
	equal(t, "status of another", a.anonymous.with("If-None-Match", `"x"`).get("/openapi.json").status, 200)

	page := a.anonymous.get("/docs")
	equal(t, "status", page.status, 200)
	equal(t, "type", page.header.Get("Content-Type"), "text/html; charset=UTF-8")
	for _, asset := range regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`).FindAllStringSubmatch(page.raw, -1) {
		answer, err := http.Get(a.url + asset[1])
		check(t, err)
		check(t, answer.Body.Close())
		equal(t, asset[1], answer.StatusCode, 200)
	}
	if strings.Contains(page.raw, "style=") || strings.Contains(page.raw, "//unpkg") ||
		!strings.Contains(page.raw, "swagger-ui-bundle") {
		t.Errorf("page: %s", page.raw)
	}
}

// TestDocument_RareAnswers requests answers that no other test causes, so that they are checked against the document.
func TestDocument_RareAnswers(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	path := a.sqliteInstance("seldom", a.sqliteFile("CREATE TABLE t (id)"))
	a.admin.post(path+"/actions/sync-capacity", nil).want(200, "实例 seldom 的容量同步任务已成功完成")
	id := a.guest.get(path+"/databases/sizes").id("databases", 0, "database_id")
	byID := fmt.Sprintf("/databases/%d/tables/sizes", id)
	for _, address := range []string{
		path + "/databases/sizes", "/databases/sizes?instance_id=" + strings.TrimPrefix(path, "/instances/"),
		tablesPath(path, "main"), byID,
	} {
		tag := a.guest.get(address).header.Get("ETag")
		equal(t, address, a.guest.with("If-None-Match", tag).get(address).status, http.StatusNotModified)
	}
	a.user.with("Prefer", "respond-async").post(byID+"/actions/refresh", nil).want(http.StatusAccepted, "采集任务正在后台运行")
	a.admin.remove(path).want(200, "实例已移入回收站")
	a.sqliteInstance("seldom", a.sqliteFile("CREATE TABLE t (id)"))
	a.admin.post(path+"/actions/restore", nil).wantCode(409, models.CodeConflict, "实例名称已存在")
}
