package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"whalefall/models"
)

const tagTaken = "标签代码已存在，请使用其他代码"

func TestTags(t *testing.T) {
	onBothStores(t, func(a *app) {
		a.guest.get("/tags").want(200, "获取标签列表成功").wantAt("items", []any{}, "total", 0, "page", 1, "pages", 0, "limit", 20)
		made := a.admin.post("/tags", obj{"name": "  prod ", "color": "danger"}).want(201, "标签创建成功").
			wantAt("tag.name", "prod", "tag.display_name", "prod", "tag.color", "red", "tag.instance_count", 0)
		equal(a, "members", members(made.at("tag").(obj)), "category color color_name color_value created_at css_class "+
			"display_name id instance_count is_active name updated_at")
		path := fmt.Sprintf("/tags/%d", made.id("tag", "id"))
		a.admin.post("/tags", obj{"name": "test", "display_name": "测试<b>", "color": " Purple "}).want(201, "标签创建成功").
			wantAt("tag.display_name", "测试<b>", "tag.color", "purple")
		a.admin.post("/tags", obj{"name": "plain", "display_name": "", "color": nil}).want(201, "标签创建成功").
			wantAt("tag.display_name", "plain", "tag.color", "gray")
		for alias, color := range map[string]string{
			"primary": "blue", "success": "green", "info": "teal", "warning": "orange", "danger": "red", "secondary": "gray",
			"dark": "gray", "LIGHT": "gray",
		} {
			a.admin.post("/tags", obj{"name": alias, "color": alias}).want(201, "标签创建成功").wantAt("tag.color", color)
		}

		a.admin.post("/tags", obj{"name": "prod"}).wantCode(409, models.CodeConflict, tagTaken)
		a.admin.put(path, obj{"name": "test"}).wantCode(409, models.CodeConflict, tagTaken)
		a.admin.put(path, obj{"display_name": "生产"}).want(200, "标签更新成功").
			wantAt("tag.name", "prod", "tag.display_name", "生产", "tag.color", "red")
		a.admin.put(path, obj{"color": "yellow", "unknown": 1}).
			want(200, "标签更新成功").
			wantAt("tag.display_name", "生产", "tag.color", "yellow")
		a.admin.put(path, obj{"name": "production", "display_name": " "}).
			want(200, "标签更新成功").
			wantAt("tag.display_name", "production")

		a.guest.get("/tags?search=测试<B>").wantAt("total", 1, "items.0.name", "test")
		a.guest.get("/tags?search=%25").wantAt("total", 0)
		a.guest.get("/tags?limit=2&page=2").wantAt("total", 11, "pages", 6, "items.0.name", "dark", "items.1.name", "info")
		a.guest.get("/tags?limit=x&page=-1&search=").wantAt("total", 11, "page", 1, "limit", 20)
	})
}

func TestTags_Refusals(t *testing.T) {
	onBothStores(t, func(a *app) {
		path := fmt.Sprintf("/tags/%d", a.admin.post("/tags", obj{"name": "n"}).id("tag", "id"))
		long := strings.Repeat("鲸", 51)
		palette := "标签颜色仅支持：gray, blue, teal, green, yellow, orange, red, pink, purple"
		for _, bad := range []struct {
			body    obj
			message string
		}{
			{obj{"name": " "}, "字段 'name' 是必填的"},
			{obj{"name": "m", "color": "mauve"}, palette},
			{obj{"name": "m", "color": 7}, "字段 'color' 必须为字符串"},
			{obj{"name": []any{"m"}}, "字段 'name' 必须为字符串"},
			{obj{"name": long}, "字段 'name' 长度不能超过 50 个字符"},
			{obj{"name": "m", "display_name": long}, "字段 'display_name' 长度不能超过 50 个字符"},
			{obj{"name": "a\nb"}, "字段 'name' 包含不允许的字符"},
			{obj{"name": "m", "display_name": "a\x00"}, "字段 'display_name' 包含不允许的字符"},
		} {
			a.admin.post("/tags", bad.body).wantCode(400, models.CodeInvalid, bad.message)
			a.admin.put(path, bad.body).wantCode(400, models.CodeInvalid, bad.message)
			a.admin.put("/tags/999", bad.body).wantCode(400, models.CodeInvalid, bad.message)
		}
		a.admin.post("/tags", obj{"color": "red"}).wantCode(400, models.CodeInvalid, "字段 'name' 是必填的")
		a.admin.put(path, obj{}).want(200, "标签更新成功").wantAt("tag.name", "n")
		for _, id := range []string{"999", "0", "-1", "x", "9223372036854775808"} {
			a.admin.put("/tags/"+id, obj{"name": "m"}).wantCode(404, models.CodeNotFound, "资源不存在")
			a.admin.remove("/tags/"+id).wantCode(404, models.CodeNotFound, "资源不存在")
		}
		for _, c := range []*client{a.user, a.guest} {
			c.post("/tags", obj{"name": "m"}).wantCode(403, models.CodeForbidden, "需要 create 权限")
			c.put(path, obj{"name": "m"}).wantCode(403, models.CodeForbidden, "需要 update 权限")
			c.remove(path).wantCode(403, models.CodeForbidden, "需要 delete 权限")
		}
		a.anonymous.get("/tags").wantCode(401, models.CodeUnauthenticated, "请先登录")
	})
}

// tagged returns the body of an instance with tags.
func tagged(name string, tags ...any) obj {
	return obj{"name": name, "db_type": "mysql", "host": "h", "port": 1, "tag_names": append([]any{}, tags...)}
}

func TestTags_Delete(t *testing.T) {
	onBothStores(t, func(a *app) {
		add := func(name string, tags ...any) string {
			r := a.admin.post("/instances", tagged(name, tags...)).want(201, "实例创建成功")
			return fmt.Sprintf("/instances/%d", r.id("instance", "id"))
		}
		kept, binned := add("kept", "a", "b"), add("binned", "a")
		a.admin.remove(binned).want(200, "实例已移入回收站")
		list := a.guest.get("/tags").wantAt("items.0.name", "a", "items.0.instance_count", 1, "items.1.instance_count", 1)
		id := list.id("items", 0, "id")
		path := fmt.Sprintf("/tags/%d", id)
		a.admin.put(path, obj{"display_name": "生产 '<x>'"}).want(200, "标签更新成功")
		refused := a.admin.remove(path).
			wantCode(409, models.CodeTagInUse, "标签 '生产 '<x>'' 仍被 1 个实例使用,无法删除")
		for _, place := range []string{"context", "extra"} {
			about := refused.body[place].(obj)
			equal(a, place, plain([]any{about["tag_id"], about["instance_count"]}), plain([]any{id, 1}))
		}
		a.guest.get(kept).wantAt("instance.tags.0.name", "a", "instance.tags.1.name", "b")

		a.admin.put(kept, tagged("kept", "b")).want(200, "实例更新成功")
		a.admin.remove(path).want(200, "标签删除成功").wantAt("tag_id", id)
		a.guest.get(kept).wantAt("instance.tags", []any{obj{"name": "b", "display_name": "b", "color": "gray"}})
		a.admin.post(binned+"/restore", nil).want(200, "实例恢复成功").wantAt("instance.tags", []any{})
		a.admin.remove(path).wantCode(404, models.CodeNotFound, "资源不存在")

		entries, err := a.store.AuditLog(a.Context(),
			models.AuditQuery{Action: models.ActionDeleteTag, Result: "success", Limit: 10})
		check(a, err)
		equal(a, "audited", fmt.Sprintf("%d %s", entries.Total, entries.Entries[0].TargetName), "1 a")
	})
}

func TestTagsPage(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	a.guest.visit("/tags").wantStatus(200).says("还没有标签").has(0, "#add-tag", ".row-actions")
	hostile := `<img src=x>&"'`
	a.admin.submit("/tags", url.Values{"name": {hostile}, "color": {"teal"}},
		"HX-Request", "true", "HX-Target", "form-problem").
		wantStatus(200).
		says("标签 " + hostile + " 已添加")
	tag := a.admin.get("/tags").id("items", 0, "id")
	path := fmt.Sprintf("/tags/%d", tag)
	instance := a.admin.post("/instances", tagged("i", hostile)).want(201, "实例创建成功").id("instance", "id")
	used := fmt.Sprintf("/instances/%d", instance)

	list := a.admin.visit("/tags").
		wantStatus(200).
		has(1, "tbody tr", "tbody .tag.tag-teal", "#add-tag").
		says("有 1 个实例正在使用此标签")
	link := list.doc.Find("tbody td.num a").AttrOr("href", "")
	a.guest.visit(link).wantStatus(200).has(1, "tbody tr")
	a.guest.visit("/tags").has(1, "tbody tr").has(0, ".row-actions", "form[action$=delete]")
	a.admin.visit("/tags?search=nowhere").says("没有符合筛选条件的数据")
	a.admin.visit("/tags?sort=-instances&limit=100&page=99", into("tag-list")...).has(1, "tbody tr").has(0, "h1")

	a.guest.visit("/tags/new").wantStatus(http.StatusForbidden)
	a.admin.visit("/tags/new").
		wantStatus(200).
		has(1, "#tag-form", `input[value=gray][checked]`).
		has(9, "input[type=radio]")
	a.admin.visit(path+"/edit").wantStatus(200).has(1, `input[value=teal][checked]`)
	a.admin.visit("/tags/99/edit").wantStatus(http.StatusNotFound)

	taken := url.Values{"name": {hostile}, "display_name": {"typed"}, "color": {"red"}}
	a.admin.submit("/tags", taken, "HX-Request", "true", "HX-Target", "form-problem").
		wantStatus(http.StatusConflict).
		says(tagTaken)
	again := a.admin.submit("/tags", taken).
		wantStatus(http.StatusConflict).
		says(tagTaken).
		has(1, `#tag-form input[value=red][checked]`)
	equal(t, "typed", again.doc.Find("input[name=display_name]").AttrOr("value", ""), "typed")
	a.admin.submit("/tags", url.Values{"name": {" "}}).wantStatus(http.StatusBadRequest).says("字段 '代码' 是必填的")
	a.admin.submit(path, url.Values{"name": {"n"}, "display_name": {""}, "color": {"pink"}}).
		wantStatus(http.StatusSeeOther)
	a.admin.visit("/tags").says("标签 n 已更新").has(1, ".tag.tag-pink")
	a.user.submit(path+"/delete", url.Values{}).wantStatus(http.StatusForbidden)
	a.admin.submit(path+"/delete", url.Values{}, htmx...).
		wantStatus(http.StatusConflict).
		says("标签 'n' 仍被 1 个实例使用,无法删除")
	a.admin.put(used, tagged("i")).want(200, "实例更新成功")
	a.admin.submit(path+"/delete", url.Values{}, htmx...).wantStatus(200).says("标签 n 已删除")
	a.admin.visit("/tags").says("还没有标签")
}
