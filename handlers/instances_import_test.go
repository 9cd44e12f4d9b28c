package handlers_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"whalefall/models"
)

// uploadForm returns a form with one file, and its content type.
func uploadForm(t testing.TB, field, filename, content string) (body *bytes.Buffer, contentType string) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	part, err := w.CreateFormFile(field, filename)
	check(t, err)
	_, err = part.Write([]byte(content))
	check(t, err)
	check(t, w.Close())
	return body, w.FormDataContentType()
}

// importFile sends a file to the import.
func (c *client) importFile(filename, content string) *response {
	c.Helper()
	body, contentType := uploadForm(c, "file", filename, content)
	return c.with("Content-Type", contentType).post("/instances/batch-create", body)
}

const importHeader = "name,db_type,host,port,database_name,description,credential_id\n"

func TestInstancesImport(t *testing.T) {
	onBothStores(t, func(a *app) {
		credential := a.admin.post("/credentials", obj{"name": "c", "username": "u", "password": "p"}).
			want(201, "数据保存成功").
			id("credential", "id")
		a.sqliteInstance("已有", a.dir+"/a.db")
		r := a.admin.importFile("Servers.CSV", importHeader+
			fmt.Sprintf("pg-1,PG,db.example.com,5432,app,\"one, \"\"two\"\"\nthree\",%d\n", credential)+
			"maria,mariadb,::1,3306\n"+
			"file,sqlite,,,"+a.dir+"/b.db,,\n"+
			"no host,mysql,,3306,,,\n"+
			",,, ,,,\n"+
			"nohost,mysql,,3306,,,\n"+
			"zwei,mysql,h,1,,,\nzwei,mysql,h,2,,,\n"+
			"已有,mysql,h,3306,,,\n"+
			"port,mysql,h,70000,,,\n"+
			"nocredential,mysql,h,1,,,4711\n"+
			"long,mysql,h,1,,"+strings.Repeat("x", 10_000)+",\n"+
			"nul,mysql,h,1,,a\x00b,\n"+
			"wide,mysql,h,1,,a,,b\n"+
			"engine,db2,h,1,,,\n")
		r.want(200, "成功创建 3 个实例").
			wantAt("created_count", 3, "duplicate_names", []string{"zwei"}, "skipped_existing_names", []string{"已有"},
				"errors", []string{
					"第 4 个实例数据无效：字段 'host' 是必填的",
					"第 6 个实例数据无效：字段 'host' 是必填的",
					"第 10 个实例数据无效：端口号必须在1-65535之间",
					"第 11 个实例数据无效：凭据不存在",
					"第 12 个实例数据无效：描述长度不能超过500个字符",
					"第 13 个实例数据无效：字段 'description' 包含不允许的字符",
					"第 14 个实例数据无效：列数多于表头，含逗号的内容须用双引号括起",
					"第 15 个实例数据无效：不支持的数据库类型: db2.支持的类型: mysql, oracle, postgresql, sqlserver, sqlite",
					"文件中有重复的实例名称：zwei",
					"以下实例名称已存在：已有",
				})
		a.admin.get(fmt.Sprintf("/instances/%d", r.id("created_ids", 0))).want(200, "获取实例详情成功").wantAt(
			"instance.name", "pg-1", "instance.db_type", "postgresql", "instance.port", 5432, "instance.database_name", "app",
			"instance.description", "one, \"two\"\nthree", "instance.credential_id", credential, "instance.is_active", true,
			"instance.tls_mode", "prefer")
		a.admin.get(fmt.Sprintf("/instances/%d", r.id("created_ids", 2))).
			wantAt("instance.host", nil, "instance.port", nil, "instance.database_name", a.dir+"/b.db")
		a.admin.get("/instances").wantAt("total", 4)

		english := a.admin.with("Accept-Language", "en").importFile("a.csv", importHeader+"x,mysql,,1\n")
		english.want(200, "Instances created: 0").
			wantAt("errors", []string{"Instance 1 is invalid: Required: host"}, "created_ids", []int{})
		entries, err := a.store.AuditLog(a.Context(), models.AuditQuery{Action: models.ActionImportInstances, Limit: 5})
		check(a, err)
		equal(a, "audit entries", entries.Total, int64(2))
		equal(a, "audit target", entries.Entries[1].TargetName, "Servers.CSV")
	})
}

func TestInstancesImport_InvalidFile(t *testing.T) {
	onBothStores(t, func(a *app) {
		row := "a,mysql,h,1\n"
		for _, c := range []struct{ what, name, content, message string }{
			{"another name", "a.xlsx", importHeader + row, "请上传CSV格式文件"},
			{"no name ending", "csv", importHeader + row, "请上传CSV格式文件"},
			{"empty", "a.csv", "", "CSV文件为空或未包含有效数据"},
			{"only a mark", "a.csv", "\ufeff", "CSV文件为空或未包含有效数据"},
			{"only a header", "a.csv", importHeader, "CSV文件为空或未包含有效数据"},
			{"blank rows", "a.csv", importHeader + ",,,\n , \n", "CSV文件为空或未包含有效数据"},
			{"columns missing", "a.csv", "Name,x,PORT\n" + row, "CSV文件缺少必填列: db_type, host"},
			{"separated by semicolons", "a.csv", "name;db_type;host;port\na;mysql;h;1\n", "CSV文件缺少必填列: db_type, host, name, " +
				"port"},
			{"a column twice", "a.csv", "name,db_type,host,port,Name\n" + row, "CSV 文件包含重复的列：name"},
			{"another encoding", "a.csv", importHeader + "\xca\xb5\xc0\xfd,mysql,h,1\n", "CSV 文件必须为 UTF-8 编码；在 Excel " +
				"中请另存为“CSV UTF-8（逗号分隔）”"},
			{"an open quote", "a.csv", importHeader + "a,mysql,h,1\n\"b,mysql,h,1\n", "CSV 文件第 3 行格式错误，请检查引号是否成对"},
			{"a spreadsheet", "a.csv", "PK\x03\x04\x14\x00", "CSV文件缺少必填列: db_type, host, name, port"},
			{"too many rows", "a.csv", importHeader + strings.Repeat(row, 1001), "CSV 文件最多包含 1000 个实例"},
		} {
			t.Run(c.what, func(*testing.T) {
				a.admin.importFile(c.name, c.content).wantCode(400, models.CodeInvalid, c.message)
			})
		}
		body, contentType := uploadForm(a, "other", "a.csv", importHeader+row)
		a.admin.with("Content-Type", contentType).
			post("/instances/batch-create", body).
			wantCode(400, models.CodeInvalid, "请上传CSV格式文件")
		a.admin.with("Content-Type", contentType).
			post("/instances/batch-create", "no form").
			wantCode(400, models.CodeInvalid, "请求体不是有效的表单")
		a.admin.post("/instances/batch-create", nil).wantCode(400, models.CodeInvalid, "请上传CSV格式文件")
		equal(a, "too large", a.admin.importFile("a.csv", importHeader+strings.Repeat("x", 1<<20)).status, 413)
		a.user.importFile("a.csv", importHeader+row).wantCode(403, models.CodeForbidden, "需要 create 权限")
		a.anonymous.importFile("a.csv", importHeader+row).wantCode(401, models.CodeUnauthenticated, "请先登录")
		a.admin.with("X-CSRFToken", "").
			importFile("a.csv", importHeader+row).
			wantCode(403, models.CodeCSRFMissing, "缺少 CSRF 令牌")
		a.admin.get("/instances").wantAt("total", 0)
	})
}

func TestInstancesImport_ColumnOrder(t *testing.T) {
	onBothStores(t, func(a *app) {
		r := a.admin.importFile("a.csv", "\ufeff Port ,TLS_MODE,password,HOST,tags,status,name,db_type\r\n"+
			"1521,verify-full,secret,h,\"prod; \"\"a;b\"\";核心\",inactive,'-ora,Oracle\r\n1433,,,h,,active,ms,MSSQL\r\n")
		r.want(200, "成功创建 2 个实例")
		a.admin.get(fmt.Sprintf("/instances/%d", r.id("created_ids", 0))).
			wantAt("instance.name", "-ora", "instance.tls_mode", "verify-full",
				"instance.is_active", false, "instance.credential", nil, "instance.tags.0.name", "a;b", "instance.tags.1.name",
				"prod", "instance.tags.2.name", "核心")
		a.admin.get(fmt.Sprintf("/instances/%d", r.id("created_ids", 1))).
			wantAt("instance.db_type", "sqlserver", "instance.is_active", true)
		a.admin.importFile("a.csv", "name,db_type,host,port,tags,tls_mode\na,mysql,h,1,\"x\ny\",\nb,mysql,h,1,,never\n").
			want(200, "成功创建 0 个实例").
			wantAt("errors.0", "第 1 个实例数据无效：字段 'tag_names' 包含不允许的字符",
				"errors.1", "第 2 个实例数据无效：tls_mode 仅支持：disable、prefer、require、verify-ca、verify-full")
	})
}

// TestInstancesImport_Concurrent sends files with the same instances and tags in opposite orders, beside single writes
// of the same: each instance is created once, and there is no deadlock.
func TestInstancesImport_Concurrent(t *testing.T) {
	onBothStores(t, func(a *app) {
		const count = 60
		var rows, reversed []string
		for i := range count {
			rows = append(rows, fmt.Sprintf("n%d,mysql,h,1,t%d;t%d\n", i, i, count-i))
			reversed = append([]string{rows[i]}, reversed...)
		}
		header := "name,db_type,host,port,tags\n"
		var all sync.WaitGroup
		created := make([]int64, 5)
		for i, some := range [][]string{rows, reversed, rows, reversed} {
			all.Go(func() {
				r := a.admin.importFile("a.csv", header+strings.Join(some, ""))
				if r.status != http.StatusOK {
					a.Errorf("import: %d %s", r.status, r.raw)
					return
				}
				created[i] = r.id("created_count")
			})
		}
		all.Go(func() {
			for i := range count {
				r := a.admin.post("/instances",
					obj{"name": fmt.Sprintf("n%d", i), "db_type": "mysql", "host": "h", "port": 1, "tag_names": []string{"t5", "t4"}})
				if r.status == http.StatusCreated {
					created[4]++
				} else if r.status != http.StatusConflict {
					a.Errorf("create: %d %s", r.status, r.raw)
				}
			}
		})
		all.Wait()
		equal(a, "created", created[0]+created[1]+created[2]+created[3]+created[4], int64(count))
		a.admin.get("/instances").wantAt("total", count)
	})
}

// TestInstancesImport_WithoutScripts sends the form as a browser without scripts: the answer is the whole page, with
// the result beside the form.
func TestInstancesImport_WithoutScripts(t *testing.T) {
	onBothStores(t, func(a *app) {
		send := func(filename, content string) *page {
			body := &bytes.Buffer{}
			w := multipart.NewWriter(body)
			check(a, w.WriteField("csrf_token", a.admin.header.Get("X-CSRFToken")))
			part, err := w.CreateFormFile("file", filename)
			check(a, err)
			_, err = io.WriteString(part, content)
			check(a, err)
			check(a, w.Close())
			request, err := http.NewRequestWithContext(a.Context(), http.MethodPost, a.url+"/instances/import", body)
			check(a, err)
			request.Header.Set("Content-Type", w.FormDataContentType())
			answer, err := a.admin.http.Do(request)
			check(a, err)
			defer answer.Body.Close()
			doc, err := goquery.NewDocumentFromReader(answer.Body)
			check(a, err)
			return &page{client: a.admin, what: filename, status: answer.StatusCode, header: answer.Header, doc: doc}
		}
		a.admin.visit("/instances").wantStatus(200).has(1, "#import-instances", "#instance-export")
		a.guest.visit("/instances?search=x&db_type=mysql").has(0, "#import-instances").
			has(1, `input[form=instance-export][name=search][value=x]`, `input[form=instance-export][name=db_type][value=mysql]`)
		a.guest.visit("/instances/import").wantStatus(403)
		a.admin.visit("/instances/import").wantStatus(200).has(1, "#import-form[enctype='multipart/form-data']")
		send("a.csv", importHeader+"a,mysql,h,1\n<i>,mysql,h,1\n").wantStatus(200).
			has(1, "main #import-form", "#import-result .success", "#import-result .error li").
			says("成功创建 1 个实例").
			says("第 2 个实例数据无效：实例名称只能包含")
		send("a.txt", "x").wantStatus(400).has(1, "main #import-form", "#import-result .error").says("请上传CSV格式文件")
		send("a.csv", strings.Repeat("x", 1<<20)).wantStatus(413)
		a.admin.get("/instances").wantAt("total", 1)
	})
}

// FuzzImport sends any file. The answer must be an envelope and never a 500.
func FuzzImport(f *testing.F) {
	for _, content := range []string{
		"", importHeader, importHeader + "a,mysql,h,1,,,\n",
		"\ufeffname,db_type,host,port,tags,tls_mode,status\r\n'=a,pg,::1,0,\"a;\"\"b\"\"\",x,inactive\r\n",
		importHeader + "\"a\nb\",mysql,h,1,,\x00,-1\n", "name,name", importHeader + "\"", "\xff\xfe",
		importHeader + strings.Repeat(",", 300), "a\r\rb\n\n,\"\"\"",
	} {
		f.Add("a.csv", content)
	}
	f.Add("\x00.csv", "a")
	a := fuzzApp(f)
	f.Fuzz(func(t *testing.T, filename, content string) {
		body, contentType := uploadForm(t, "file", filename, content)
		w := a.admin.serve(t.Context(), t, http.MethodPost, "/instances/batch-create", body, contentType)
		if w.Code >= http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"timestamp"`) {
			t.Errorf("%q %q: %d %s", filename, content, w.Code, w.Body)
		}
	})
}

// serve answers one request to a path under /api/v1 without a connection, while ctx lasts.
func (c *client) serve(
	ctx context.Context, t testing.TB, method, path string, body io.Reader, contentType string,
) *httptest.ResponseRecorder {
	t.Helper()
	base, err := url.Parse(c.url)
	check(t, err)
	r := httptest.NewRequestWithContext(ctx, method, "/api/v1"+path, body)
	r.Header = c.header.Clone()
	r.Header.Set("Content-Type", contentType)
	for _, cookie := range c.http.Jar.Cookies(base) {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return w
}

// cells decodes a CSV answer.
func (r *response) cells() [][]string {
	r.Helper()
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(r.raw, "\ufeff"))).ReadAll()
	if err != nil || r.status != http.StatusOK {
		r.Fatalf("%s: %d %v %.300s", r.what, r.status, err, r.raw)
	}
	return rows
}
