package handlers_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"slices"
	"strings"

	"whalefall/models"
)

// endpoint is one route of the contract: who may use it, a right request, and what can be wrong with one. TestContract
// checks of each all that holds for every route.
type endpoint struct {
	method, path string // as registered, under /api/v1
	may          string // the required permission, or one of the words below
	status       int    // of the right request
	message      string // of the right request; empty: no envelope
	// right returns a request that is right each time it is made; nil: the path of the scene's instance.
	right   func(s *scene, userID int64) call
	wrong   []wrong             // members and parameters, each refused alone
	loose   []string            // parameters that fall back to their defaults
	absent  string              // message about an unknown ID; empty if the path has no ID
	missing func(s *scene) call // a request for something missing, where the path does not show it
	down    func(s *scene) call // a request to a server that does not answer
	ends    bool                // ends the login of its user, who is new each time
	upload  bool                // the body is a form with a file
	reads   bool                // changes nothing and is not in the audit log, whatever its method
	perBody bool                // the permission depends on the body, so an empty one cannot be refused
	probe   bool                // does not depend on who asks
	early   bool                // also for users who must change their password first
}

// Who may use a route, besides users with a permission.
const (
	everybody = "everybody"
	anybody   = "logged in"
	maySync   = "instance_management.instance_list.sync_capacity"
)

// roles lists the roles that may use a route.
var roles = map[string][]models.Role{
	everybody: {"", models.RoleGuest, models.RoleUser, models.RoleAdmin},
	anybody:   {models.RoleGuest, models.RoleUser, models.RoleAdmin},
	"view":    {models.RoleGuest, models.RoleUser, models.RoleAdmin},
	maySync:   {models.RoleUser, models.RoleAdmin},
	"create":  {models.RoleAdmin},
	"update":  {models.RoleAdmin},
	"delete":  {models.RoleAdmin},
	"admin":   {models.RoleAdmin},
}

// call is what a request adds to its route.
type call struct {
	id    int64  // in the path
	login string // ID of a session, in the path
	query string
	body  any
	kind  string // content type, if not JSON
}

// wrong is an invalid value of a member or query parameter.
type wrong struct {
	inQuery bool
	name    string
	value   any // of a parameter: percent-encoded
	code    models.Code
}

func each(name string, code models.Code, values ...any) []wrong {
	out := make([]wrong, len(values))
	for i, value := range values {
		out[i] = wrong{name: name, value: value, code: code}
	}
	return out
}

func invalid(name string, values ...any) []wrong { return each(name, models.CodeInvalid, values...) }

// Values that are wrong for every member of a type.
func text(name string) []wrong {
	return invalid(name, 5, json.RawMessage("1e400"), true, []any{"x"}, obj{"x": "y"}, json.RawMessage(`"\ud800"`),
		json.RawMessage(`"\udc00\ud800"`))
}

func line(name string, limit int) []wrong {
	return slices.Concat(text(name), invalid(name, "a\x00b", "a\x1bb", "a\x7fb", strings.Repeat("x", limit+1)))
}

func number(name string) []wrong {
	return invalid(name, "x", 1.5, json.RawMessage("1e400"), json.RawMessage("-0"), json.RawMessage("9223372036854775808"),
		json.RawMessage("-9223372036854775809"), 0, -1, true, []any{1}, obj{}, "0x10", "1\x00", "١")
}

func flag(name string) []wrong { return invalid(name, 0, 1, "true", "", []any{true}, obj{}) }

func ids(name string) []wrong {
	return invalid(name, nil, "", "1", 1, true, obj{}, []any{}, []any{"x"}, []any{1.5}, []any{true}, []any{nil},
		[]any{[]any{}}, []any{json.RawMessage("1e400")})
}

// csvUpload returns a form with a file.
func csvUpload(name, content string) call {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", name)
	if err == nil {
		_, err = io.WriteString(part, content)
	}
	if err = cmp.Or(err, w.Close()); err != nil {
		panic(err) // writing to a buffer never fails
	}
	return call{body: form.String(), kind: w.FormDataContentType()}
}

func parameter(name string, values ...string) []wrong {
	out := make([]wrong, len(values))
	for i, value := range values {
		out[i] = wrong{inQuery: true, name: name, value: value, code: models.CodeInvalid}
	}
	return out
}

func window(limit string) []wrong {
	return slices.Concat(
		parameter(limit, "x", "1.5", "1.0", "1e2", "0x10", "0", "-0", "-1", "2001", "9223372036854775808",
			"-9223372036854775809", "%00", "1%00", "%FF", "%D9%A1"),
		parameter("offset", "x", "1.5", "1.0", "1e2", "-1", "-9223372036854775809", "%00", "%FF"),
	)
}

// pages are parameters of a list that falls back to its defaults.
var pages = []string{
	"page=0", "page=-1", "page=x", "page=1.0", "page=9223372036854775808", "page=%00", "page=", "limit=0", "limit=",
	"limit=x", "limit=-9223372036854775809", "limit=%FF", "page_size=0", "page_size=", "page_size=x", "page_size=%00",
}

// manyHosts are one host more than a credential may have.
var manyHosts = func() (hosts []any) {
	for i := range 51 {
		hosts = append(hosts, fmt.Sprintf("db%d", i))
	}
	return hosts
}()

var (
	instanceMembers = slices.Concat(
		line("name", 100),
		invalid("name", "a b", "<script>", "", "  ", nil),
		text("db_type"),
		invalid("db_type", "db2", "", nil),
		line("host", 253),
		invalid("host", "a b", "256.1.1.1", "http://x", "", nil),
		number("port"),
		invalid("port", 65536, nil),
		line("database_name", 512),
		number("credential_id"),
		invalid("credential_id", 4711),
		text("description"),
		invalid("description", "a\x00b", strings.Repeat("描", 501)),
		flag("is_active"),
		invalid("tag_names", "a", 1, true, obj{}, []any{1}, []any{nil, "a\x00"}, []any{strings.Repeat("x", 51)}),
		text("tls_mode"),
		invalid("tls_mode", "sometimes"),
		invalid("options", "x", 1, []any{}, obj{"a": 1}, obj{"a b": "x"}, obj{"a": "\x00"}),
		line("username", 255),
		invalid("username", "u"),
		text("password"),
		invalid("password", "p", strings.Repeat("x", 513)),
		invalid("schedule", "daily", 1, true, []any{}, obj{"enabled": "true"}, obj{"cron": 5}, obj{"cron": "0 2 * *"},
			obj{"cron": "* * * * *"}, obj{"cron": "0 2 30 2 *"}, obj{"cron": "\x00"},
			obj{"timezone": "Mars"}, obj{"timezone": "../UTC"},
			obj{"jitter_minutes": 1.5}, obj{"jitter_minutes": -1}, obj{"jitter_minutes": 1441},
			obj{"blackout": "9-12"}, obj{"blackout": "00:00-24:00"}),
	)
	credentialMembers = slices.Concat(
		line("name", 100),
		invalid("name", "", " "),
		line("username", 255),
		invalid("username", ""),
		text("password"),
		invalid("password", "", strings.Repeat("x", 513)),
		text("db_type"),
		invalid("db_type", "db2"),
		text("credential_type"),
		invalid("credential_type", "ssh"),
		invalid("hosts", "db", 1, true, obj{}, []any{1}, []any{nil}, []any{""}, []any{"a b"}, []any{"a\x00"},
			[]any{"db:5432"}, []any{"10.0.0.0/33"}, []any{[]any{}}, []any{strings.Repeat("a.", 128)}, manyHosts),
		text("description"),
		invalid("description", "a\x00b", strings.Repeat("描", 501)),
	)
	userMembers = slices.Concat(
		line("username", 20),
		invalid("username", "ab", "a b c", "鲸鲸鲸", ""),
		text("role"),
		invalid("role", "king", ""),
		text("password"),
		each("password", models.CodePasswordInvalid, "Short1x", "Aa1"+strings.Repeat("x", 70),
			"lower1234", "UPPER1234", "NoDigitsHere"),
		flag("is_active"),
		flag("must_change_password"),
	)
	tagMembers = slices.Concat(
		line("name", 50),
		invalid("name", "", " "),
		line("display_name", 50),
		line("category", 50),
		text("color"),
		invalid("color", "#fff", "x\x00"),
		each("name", models.CodeConflict, "a"),
	)
	days = slices.Concat(
		parameter("start_date", "2026-02-30", "20260101", "x", "%00", "2026-01-01T00:00:00Z", "9999999999-01-01"),
		parameter("end_date", "2026-1-1", "%FF", "2026-01-01&start_date=2026-01-02"),
	)
	sizeParameters  = slices.Concat(window("limit"), days)
	tableParameters = slices.Concat(
		window("limit"),
		parameter("sort", "x", "--size", "%00"),
		parameter("cursor", "x", "%00", "eyJ9"),
	)
	pagedParameters = slices.Concat(
		window("limit"),
		parameter("offset", "0", "1"),
		parameter("page", "0", "-1", "x", "1.5", "9223372036854775808", "%00"),
		parameter("sort", "x"),
	)
)

var (
	strictPages = slices.Concat(
		parameter("page", "0", "-1", "x", "1.5", "%00", "%FF", "-9223372036854775809"),
		parameter("limit", "0", "-1", "x", "1.5", "%00"),
		parameter("page_size", "0", "x"),
		parameter("per_page", "-1", "x"),
	)
	capacityParameters = slices.Concat(strictPages, days, parameter("period_type", "x", "Daily", "%00", "%FF"))
	capacityLoose      = []string{
		"instance_id=x", "instance_id=-1", "database_id=x", "db_type=ALL", "database_name=", "period_type=all", "get_all=no",
		"start_date=",
	}
)

// endpoints is the whole contract.
var endpoints = []endpoint{
	{method: "GET", path: "/auth/csrf-token", may: everybody, status: 200, message: "操作成功"},
	{method: "GET", path: "/auth/session", may: everybody, status: 200, message: "获取会话状态成功"},
	{method: "GET", path: "/auth/me", may: anybody, status: 200, message: "操作成功", early: true},
	{
		method:  "POST",
		path:    "/auth/login",
		may:     everybody,
		status:  200,
		message: "登录成功",
		ends:    true,
		right: func(s *scene, _ int64) call {
			return call{body: obj{"username": s.somebody(models.RoleGuest).Username, "password": password}}
		},
		wrong: slices.Concat(
			invalid("username", 5, true, []any{}, obj{}, "", nil),
			each("username", models.CodeInvalidCredentials, "nobody", "a\x00", strings.Repeat("x", 9999)),
			invalid("password", 5, true, []any{}, obj{}, "", nil),
			each("password", models.CodeInvalidCredentials, "x", "\x00", strings.Repeat("x", 9999)),
		),
	},
	{method: "POST", path: "/auth/logout", may: anybody, status: 200, message: "登出成功", ends: true, early: true},
	{
		method:  "POST",
		path:    "/auth/change-password",
		may:     anybody,
		status:  200,
		message: "密码修改成功",
		ends:    true,
		early:   true,
		right: func(*scene, int64) call {
			return call{body: obj{"old_password": password, "new_password": "Another1one", "confirm_password": "Another1one"}}
		},
		wrong: slices.Concat(
			invalid("old_password", "", nil, 5, []any{}),
			each("old_password", models.CodeInvalidOldPassword, "Wrong1horse", "\x00"),
			each("old_password", models.CodePasswordDuplicated, "Another1one"),
			invalid("new_password", "", nil, true, obj{}),
			each("new_password", models.CodePasswordMismatch, "Another1two"),
			invalid("confirm_password", "", nil, 1.5),
			each("confirm_password", models.CodePasswordMismatch, "x"),
		),
	},

	{method: "GET", path: "/health/ping", may: everybody, status: 200, message: "健康检查成功", probe: true},
	{method: "GET", path: "/health/basic", may: everybody, status: 200, message: "服务运行正常", probe: true},
	{method: "GET", path: "/health/health", may: everybody, status: 200, message: "操作成功", probe: true},
	{method: "GET", path: "/admin/app-info", may: everybody, status: 200, message: "获取应用信息成功", probe: true},
	{method: "GET", path: "/openapi.json", may: everybody, status: 200, probe: true},
	{method: "GET", path: "/docs", may: everybody, status: 200, probe: true},

	{method: "GET", path: "/auth/sessions", may: anybody, status: 200, message: "获取会话列表成功", loose: pages},
	{method: "DELETE", path: "/auth/sessions", may: anybody, status: 200, message: "其他会话已结束", ends: true},
	{
		method: "DELETE", path: "/auth/sessions/:session", may: anybody, status: 200, message: "会话已结束",
		right: func(s *scene, userID int64) call { return call{login: s.newSession(userID)} },
	},
	{method: "GET", path: "/tokens", may: anybody, status: 200, message: "获取令牌列表成功", loose: pages},
	{
		method:  "POST",
		path:    "/tokens",
		may:     anybody,
		status:  201,
		message: "数据保存成功",
		right:   func(s *scene, _ int64) call { return call{body: obj{"name": s.fresh("mine"), "role": "guest"}} },
		wrong: slices.Concat(
			line("name", 100),
			invalid("name", "", nil),
			text("role"),
			invalid("role", "king"),
			text("expires_at"),
			invalid("expires_at", "x", "2001-01-01", "2001-01-01T00:00:00Z", "9999999999-01-01", "2999-02-30", "a\x00"),
			each("name", models.CodeConflict, "mine"),
		),
	},
	{
		method: "DELETE", path: "/tokens/:id", may: anybody, status: 200, message: "数据删除成功", absent: "资源不存在",
		right: func(s *scene, userID int64) call { return call{id: s.newToken(userID, s.fresh("mine")).ID} },
	},

	{method: "GET", path: "/users", may: "admin", status: 200, message: "获取用户列表成功", loose: pages},
	{
		method: "POST", path: "/users", may: "admin", status: 201, message: "用户创建成功",
		right: func(s *scene, _ int64) call {
			return call{body: obj{"username": s.fresh("fresh"), "password": password, "role": "guest", "is_active": true}}
		},
		wrong: slices.Concat(userMembers, invalid("username", nil), invalid("password", nil, ""), invalid("role", nil),
			each("username", models.CodeUsernameExists, "guest_1")),
	},
	{
		method: "GET", path: "/users/:id", may: "admin", status: 200, message: "获取用户信息成功", absent: "资源不存在",
		right: func(s *scene, _ int64) call { return call{id: s.somebody(models.RoleGuest).ID} },
	},
	{
		method: "PUT", path: "/users/:id", may: "admin", status: 200, message: "用户更新成功", absent: "资源不存在",
		right: func(s *scene, _ int64) call {
			return call{id: s.somebody(models.RoleUser).ID, body: obj{"role": "guest"}}
		},
		wrong: slices.Concat(userMembers, each("username", models.CodeUsernameExists, "guest_1")),
	},

	{
		method: "DELETE", path: "/users/:id", may: "delete", status: 200, message: "用户删除成功", absent: "用户不存在",
		right: func(s *scene, _ int64) call { return call{id: s.somebody(models.RoleAdmin).ID} },
	},
	{method: "GET", path: "/users/stats", may: "admin", status: 200, message: "获取用户统计成功"},

	{
		method: "GET", path: "/audit", may: "admin", status: 200, message: "获取审计日志成功", wrong: days,
		loose: slices.Concat(pages, []string{"action=x", "result=x", "action=%00"}),
	},

	{method: "GET", path: "/credentials", may: "view", status: 200, message: "获取凭据列表成功", loose: pages},
	{
		method:  "POST",
		path:    "/credentials",
		may:     "create",
		status:  201,
		message: "数据保存成功",
		right: func(s *scene, _ int64) call {
			return call{
				body: obj{
					"name":        s.fresh("credential"),
					"username":    "root",
					"password":    targetSecret,
					"db_type":     "pg",
					"description": "d",
				},
			}
		},
		wrong: slices.Concat(
			credentialMembers,
			invalid("name", nil),
			invalid("username", nil),
			invalid("password", nil),
			each("name", models.CodeConflict, "used"),
		),
	},
	{
		method: "GET", path: "/credentials/:id", may: "view", status: 200, message: "获取凭据详情成功", absent: "资源不存在",
		right: func(s *scene, _ int64) call { return call{id: s.credential} },
	},
	{
		method: "PUT", path: "/credentials/:id", may: "update", status: 200, message: "数据更新成功", absent: "资源不存在",
		right: func(s *scene, _ int64) call { return call{id: s.newCredential(), body: obj{"username": "app"}} },
		wrong: slices.Concat(credentialMembers, each("name", models.CodeConflict, "used")),
	},
	{
		method: "DELETE", path: "/credentials/:id", may: "delete", status: 200, message: "数据删除成功", absent: "资源不存在",
		right: func(s *scene, _ int64) call { return call{id: s.newCredential()} },
	},

	{
		method: "POST", path: "/credentials/:id/delete", may: "delete", status: 200, message: "数据删除成功", absent: "凭据不存在",
		right: func(s *scene, _ int64) call { return call{id: s.newCredential()} },
	},

	{method: "GET", path: "/tags", may: "view", status: 200, message: "获取标签列表成功", loose: pages},
	{
		method: "POST", path: "/tags", may: "create", status: 201, message: "标签创建成功",
		right: func(s *scene, _ int64) call {
			return call{body: obj{"name": s.fresh("tag"), "display_name": "标签", "color": "blue"}}
		},
		wrong: slices.Concat(tagMembers, invalid("name", nil)),
	},
	{
		method:  "PUT",
		path:    "/tags/:id",
		may:     "update",
		status:  200,
		message: "标签更新成功",
		absent:  "资源不存在",
		right:   func(s *scene, _ int64) call { return call{id: s.newTag(s.fresh("tag")), body: obj{"color": "red"}} },
		wrong:   tagMembers,
	},
	{
		method: "DELETE", path: "/tags/:id", may: "delete", status: 200, message: "标签删除成功", absent: "资源不存在",
		right: func(s *scene, _ int64) call { return call{id: s.newTag(s.fresh("tag"))} },
	},

	{method: "GET", path: "/tags/options", may: "view", status: 200, message: "操作成功", loose: []string{"category="}},
	{method: "GET", path: "/tags/categories", may: "view", status: 200, message: "操作成功"},
	{
		method: "GET", path: "/tags/:id", may: "view", status: 200, message: "获取标签详情成功", absent: "标签不存在",
		right: func(s *scene, _ int64) call { return call{id: s.newTag(s.fresh("tag"))} },
	},
	{method: "GET", path: "/tags/by-name/:tag", may: "view", status: 200, message: "获取标签详情成功"},
	{
		method: "POST", path: "/tags/:id/delete", may: "delete", status: 200, message: "标签删除成功", absent: "标签不存在",
		right: func(s *scene, _ int64) call { return call{id: s.newTag(s.fresh("tag"))} },
	},
	{
		method: "POST", path: "/tags/batch-delete", may: "delete", status: 200, message: "标签批量删除成功",
		right: func(s *scene, _ int64) call { return call{body: obj{"tag_ids": []any{s.newTag(s.fresh("tag"))}}} },
		wrong: invalid("tag_ids", nil, "", "1", 1, true, obj{}, []any{}, slices.Repeat([]any{4711}, 1001)),
	},
	{method: "GET", path: "/tags/bulk/instances", may: "view", status: 200, message: "操作成功"},
	{method: "GET", path: "/tags/bulk/tags", may: "view", status: 200, message: "操作成功"},
	{
		method: "POST", path: "/tags/bulk/instance-tags", may: "view", status: 200, message: "操作成功", reads: true,
		right: func(s *scene, _ int64) call { return call{body: obj{"instance_ids": []any{s.instance}}} },
		wrong: bulkIDs("instance_ids"),
	},
	bulk("assign", "标签批量分配成功,共分配 1 个标签关系", "tag_ids"),
	bulk("actions/assign", "标签批量分配成功,共分配 1 个标签关系", "tag_ids"),
	bulk("remove", "标签批量移除成功,共移除 0 个标签关系", "tag_ids"),
	bulk("actions/remove", "标签批量移除成功,共移除 0 个标签关系", "tag_ids"),
	bulk("remove-all", "批量移除成功,共移除 0 个标签关系"),
	bulk("actions/remove-all", "批量移除成功,共移除 0 个标签关系"),

	{method: "GET", path: "/instances/statistics", may: "view", status: 200, message: "获取实例统计信息成功"},
	{
		method: "GET",
		path:   "/instances/exports",
		may:    "view",
		status: 200,
		loose:  []string{"limit=0", "page=x", "db_type=db2", "sort=%00"},
	},
	{method: "GET", path: "/files/instance-export", may: "view", status: 200, loose: []string{"db_type=db2", "search="}},
	{method: "GET", path: "/instances/imports/template", may: "view", status: 200},
	{method: "GET", path: "/files/template-download", may: "view", status: 200},
	{
		method: "POST", path: "/instances/batch-create", may: "create", status: 200, message: "成功创建 1 个实例", upload: true,
		right: func(s *scene, _ int64) call {
			return csvUpload("servers.csv", "name,db_type,host,port\n"+s.fresh("server")+",mysql,db.example,3306\n")
		},
	},
	{
		method: "POST", path: "/instances/batch-delete", may: "delete", status: 200, message: "成功移入回收站 1 个实例",
		right: func(s *scene, _ int64) call {
			return call{body: obj{"instance_ids": []any{s.newInstance()}, "deletion_mode": "soft"}}
		},
		wrong: slices.Concat(ids("instance_ids"), invalid("deletion_mode", "", "SOFT", 1, true, []any{}, obj{}, "soft\x00")),
	},
	{
		method:  "GET",
		path:    "/instances",
		may:     "view",
		status:  200,
		message: "获取实例列表成功",
		loose: slices.Concat(
			pages,
			[]string{
				"sort=port", "sort=%00", "order=up", "db_type=db2", "db_type=%FF", "status=x", "include_deleted=x", "tags=",
				"search=",
			},
		),
	},
	{
		method: "POST", path: "/instances", may: "create", status: 201, message: "实例创建成功",
		right: func(s *scene, _ int64) call { return call{body: s.server()} },
		wrong: slices.Concat(instanceMembers, each("name", models.CodeConflict, "files")),
	},
	{method: "GET", path: "/instances/:id", may: "view", status: 200, message: "获取实例详情成功", absent: "实例不存在"},
	{
		method: "PUT", path: "/instances/:id", may: "update", status: 200, message: "实例更新成功", absent: "实例不存在",
		right: func(s *scene, _ int64) call { return call{id: s.newInstance(), body: s.server()} },
		wrong: slices.Concat(instanceMembers, each("name", models.CodeConflict, "files")),
	},
	{
		method: "DELETE", path: "/instances/:id", may: "delete", status: 200, message: "实例已移入回收站", absent: "实例不存在",
		right: func(s *scene, _ int64) call { return call{id: s.newInstance()} },
	},
	{
		method: "POST", path: "/instances/:id/delete", may: "delete", status: 200, message: "实例已移入回收站", absent: "实例不存在",
		right: func(s *scene, _ int64) call { return call{id: s.newInstance()} },
	},
	{
		method: "POST", path: "/instances/:id/restore", may: "update", status: 200, message: "实例恢复成功", absent: "实例不存在",
		right: func(s *scene, _ int64) call { return call{id: s.deletedInstance()} },
	},
	{
		method:  "POST",
		path:    "/instances/:id/actions/restore",
		may:     "update",
		status:  200,
		message: "实例恢复成功",
		absent:  "实例不存在",
		right:   func(s *scene, _ int64) call { return call{id: s.deletedInstance()} },
	},
	{
		method:  "POST",
		path:    "/instances/:id/actions/resume-schedule",
		may:     "update",
		status:  200,
		message: "采集计划未暂停，无需恢复",
		absent:  "实例不存在",
	},
	{
		method: "POST", path: "/connections/actions/test", may: "view", status: 200, message: "实例连接测试成功", absent: "实例不存在",
		right:   func(s *scene, _ int64) call { return call{body: obj{"instance_id": s.instance}} },
		missing: func(*scene) call { return call{body: obj{"instance_id": 4711}} },
		down:    func(s *scene) call { return call{body: obj{"instance_id": s.down}} },
		wrong:   invalid("instance_id", "x", 1.5, json.RawMessage("1e400"), true, []any{1}, obj{}),
	},
	{
		method:  "POST",
		path:    "/connections/actions/test",
		may:     "create",
		status:  200,
		message: "连接测试成功",
		perBody: true,
		right:   func(s *scene, _ int64) call { return call{body: obj{"db_type": "sqlite", "database_name": s.file}} },
		down:    func(s *scene) call { return call{body: obj{"db_type": "sqlite", "database_name": s.dir + "/gone.db"}} },
		wrong: slices.Concat(
			text("db_type"),
			invalid("db_type", "db2", "", nil, "pg"),
			line("database_name", 512),
			invalid("database_name", "", nil),
			text("tls_mode"),
			invalid("options", "x"),
		),
	},

	{
		method: "GET", path: "/connections/status/:id", may: "view", status: 200, message: "获取连接状态成功", absent: "实例不存在",
	},
	{
		method: "POST", path: "/connections/actions/validate-params", may: "view", status: 200, message: "连接参数验证通过",
		reads: true,
		right: func(s *scene, _ int64) call {
			return call{body: obj{"db_type": "pg", "port": 5432, "credential_id": s.credential}}
		},
		missing: func(*scene) call { return call{body: obj{"db_type": "pg", "port": 5432, "credential_id": 4711}} },
		wrong: slices.Concat(
			invalid("db_type", nil, "", "db2", 5, true, []any{}, obj{}, "\x00"),
			invalid("port", nil, "x", 1.5, json.RawMessage("1e400"), 0, -1, 65536, true, []any{1}, obj{}),
			invalid("credential_id", "x", 1.5, true, []any{1}, obj{}),
		),
	},
	{
		method: "POST", path: "/connections/actions/batch-test", may: "view", status: 200, message: "批量连接测试完成",
		right: func(s *scene, _ int64) call { return call{body: obj{"instance_ids": []any{s.instance, s.down, 4711}}} },
		wrong: slices.Concat(ids("instance_ids"), invalid("instance_ids", slices.Repeat([]any{1}, 51))),
	},

	{
		method: "GET", path: "/databases/ledgers", may: "view", status: 200, message: "获取数据库台账成功", wrong: strictPages,
		loose: []string{"search=", "db_type=all", "instance_id=x", "tags=", "%FF=1"},
	},
	{
		method: "GET", path: "/databases/ledgers/:id/capacity-trend", may: "view", status: 200, message: "获取容量走势成功",
		absent: "数据库不存在或已删除", wrong: parameter("days", "x", "1.5", "-1", "%00", "%FF", "-9223372036854775809"),
		right: func(s *scene, _ int64) call { return call{id: s.database} },
		loose: []string{"days=", "days=0", "days=30", "days=9223372036854775808"},
	},
	{
		method: "GET", path: "/capacity/databases", may: "view", status: 200, message: "数据库统计聚合数据获取成功",
		wrong: capacityParameters, loose: capacityLoose,
	},
	{
		method: "GET", path: "/capacity/databases/summary", may: "view", status: 200, message: "数据库统计聚合汇总获取成功",
		wrong: capacityParameters, loose: capacityLoose,
	},
	{
		method: "GET", path: "/capacity/instances", may: "view", status: 200, message: "操作成功",
		wrong: slices.Concat(capacityParameters, parameter("time_range", "x", "1.5", "-1", "%00")),
		loose: append(capacityLoose, "time_range=", "time_range=9223372036854775808"),
	},
	{
		method: "GET", path: "/capacity/instances/summary", may: "view", status: 200, message: "操作成功",
		wrong: slices.Concat(capacityParameters, parameter("time_range", "x", "1.5", "-1", "%00")),
		loose: append(capacityLoose, "time_range=", "time_range=9223372036854775808"),
	},
	{
		method: "GET", path: "/common/instances/options", may: "view", status: 200, message: "实例选项获取成功",
		loose: []string{"db_type="},
	},
	{
		method: "GET", path: "/common/databases/options", may: "view", status: 200, message: "数据库选项获取成功",
		right: func(s *scene, _ int64) call { return call{query: fmt.Sprint("instance_id=", s.instance)} },
		loose: []string{"limit=", "offset="},
	},
	{method: "GET", path: "/common/database-types/options", may: "view", status: 200, message: "数据库类型选项获取成功"},

	{
		method:  "POST",
		path:    "/instances/:id/actions/sync-capacity",
		may:     maySync,
		status:  200,
		message: "实例 files 的容量同步任务已成功完成",
		absent:  "实例不存在",
		down:    func(s *scene) call { return call{id: s.down} },
	},
	{
		method:  "GET",
		path:    "/instances/:id/databases/sizes",
		may:     "view",
		status:  200,
		message: readSizes,
		absent:  "实例不存在",
		wrong:   sizeParameters,
	},
	{
		method:  "GET",
		path:    "/instances/:id/databases/:name/tables/sizes",
		may:     "view",
		status:  200,
		message: readTable,
		absent:  "实例不存在",
		wrong:   tableParameters,
	},
	{
		method:  "POST",
		path:    "/instances/:id/databases/:name/tables/sizes/actions/refresh",
		may:     maySync,
		status:  200,
		message: refreshed,
		absent:  "实例不存在",
		down:    func(s *scene) call { return call{id: s.down} },
		wrong:   slices.Concat(window("limit"), parameter("sort", "x")),
	},
	{
		method:  "GET",
		path:    "/databases/sizes",
		may:     "view",
		status:  200,
		message: readSizes,
		right:   func(s *scene, _ int64) call { return call{query: fmt.Sprintf("instance_id=%d", s.instance)} },
		wrong: slices.Concat(
			parameter("instance_id", "", "x", "1.5", "0", "-1", "%00"),
			days,
			pagedParameters[:len(pagedParameters)-1],
		),
	},
	{
		method: "GET", path: "/databases/:id/tables/sizes", may: "view", status: 200, message: readTable, absent: "资源不存在",
		right: func(s *scene, _ int64) call { return call{id: s.database} }, wrong: pagedParameters,
	},
	{
		method:  "POST",
		path:    "/databases/:id/tables/sizes/actions/refresh",
		may:     maySync,
		status:  200,
		message: refreshed,
		absent:  "资源不存在",
		right:   func(s *scene, _ int64) call { return call{id: s.database} },
		wrong:   pagedParameters,
		down:    func(s *scene) call { return call{id: s.downDatabase} },
	},
	{
		method: "GET", path: "/instances/:id/refreshes", may: "view", status: 200, message: readRuns, absent: "实例不存在",
		loose: slices.Concat(pages, []string{"kind=x", "status=x", "kind=%00"}),
	},
	{
		method: "GET", path: "/refreshes", may: "view", status: 200, message: readRuns,
		wrong: parameter("instance_id", "", "x", "1.5", "0", "-1", "%00"),
		loose: slices.Concat(pages, []string{"kind=x", "status=x", "kind=%00"}),
	},
	{
		method: "GET", path: "/refreshes/:id", may: "view", status: 200, message: "获取采集任务成功", absent: "资源不存在",
		right: func(s *scene, userID int64) call { return call{id: s.endedRun(userID)} },
	},
	{
		method: "DELETE", path: "/refreshes/:id", may: maySync, status: 200, message: "采集任务已结束，无需取消", absent: "资源不存在",
		right: func(s *scene, userID int64) call { return call{id: s.endedRun(userID)} },
	},
}

// bulk returns a change of many instances' tags. Each right request is about a fresh instance and tag.
func bulk(path, message string, more ...string) endpoint {
	return endpoint{
		method: "POST", path: "/tags/bulk/" + path, may: "create", status: 200, message: message,
		right: func(s *scene, _ int64) call {
			body := obj{"instance_ids": []any{s.newInstance()}}
			for _, name := range more {
				body[name] = []any{s.newTag(s.fresh("tag"))}
			}
			return call{body: body}
		},
		wrong: slices.Concat(bulkIDs("instance_ids"), each("instance_ids", models.CodeNotFound, []any{4711, -1})),
	}
}

// bulkIDs lists wrong values of a list of IDs, in which digits as text are right.
func bulkIDs(name string) []wrong {
	return invalid(name, nil, "", "1", 1, true, obj{}, []any{}, []any{"x"}, []any{1.5}, []any{true}, []any{nil},
		[]any{[]any{}}, []any{json.RawMessage("1e400")})
}
