package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"whalefall/models"
)

func TestTags_Original(t *testing.T) {
	onBothStores(t, func(a *app) {
		body := obj{"name": "p/1%", "display_name": "生产", "category": " environment ", "color": "danger"}
		made := a.admin.post("/tags", body).
			want(201, "标签创建成功").wantAt("tag.category", "environment", "tag.color_value", "#b42025",
			"tag.css_class", "bg-danger", "tag.color_name", "红色", "tag.is_active", true, "tag.created_at", nil)
		id := made.id("tag", "id")
		other := a.admin.post("/tags", obj{"name": "z"}).want(201, "标签创建成功").wantAt("tag.category", nil).id("tag", "id")

		a.guest.get("/tags?category=environment").wantAt("total", 1, "items.0.id", id,
			"stats", obj{"total": 2, "active": 2, "inactive": 0, "category_count": 1})
		options := a.guest.get("/tags/options").want(200, "操作成功").wantAt("category", nil, "tags.0.id", other, "tags.1.id", id)
		equal(a, "members", members(options.at("tags", 0).(obj)), "category color color_name color_value created_at "+
			"css_class display_name id is_active name updated_at")
		a.guest.get("/tags/options?category=%20environment").wantAt("category", "environment", "tags.0.id", id)
		a.guest.get("/tags/options?category=nowhere%00").wantAt("tags", []any{})
		pairs := a.guest.get("/tags/categories").want(200, "操作成功").at("categories").([]any)
		equal(a, "categories", fmt.Sprint(len(pairs), pairs[0], pairs[8]), "9 [location 地区标签] [other 其他标签]")

		path := fmt.Sprintf("/tags/%d", id)
		a.guest.get(path).want(200, "获取标签详情成功").wantAt("tag.name", "p/1%")
		a.guest.get("/tags/4711").wantCode(404, models.CodeNotFound, "标签不存在")
		a.guest.get("/tags/by-name/"+url.PathEscape("p/1%")).want(200, "获取标签详情成功").wantAt("tag.id", id)
		for _, name := range []string{"P%2F1%25", "p", "%00", "%FF"} {
			a.guest.get("/tags/by-name/"+name).wantCode(404, models.CodeNotFound, "标签不存在")
		}
		a.admin.put(path, obj{"category": nil}).want(200, "标签更新成功").wantAt("tag.category", "environment")
		a.admin.put(path, obj{"category": ""}).want(200, "标签更新成功").wantAt("tag.category", nil)
		a.admin.post(path+"/delete", nil).want(200, "标签删除成功").wantAt("tag_id", id)
		a.admin.post(path+"/delete", nil).wantCode(404, models.CodeNotFound, "标签不存在")
	})
}

func TestTags_BatchDelete(t *testing.T) {
	onBothStores(t, func(a *app) {
		tag := func(name string) int64 { return a.admin.post("/tags", obj{"name": name}).id("tag", "id") }
		first, second, third := tag("first"), tag("second"), tag("third")
		a.admin.post("/instances", tagged("i", "second")).want(201, "实例创建成功")
		chosen := []any{first, second, fmt.Sprint(third), 4711, first, "x", 1.5}
		r := a.admin.post("/tags/batch-delete", obj{"tag_ids": chosen})
		r.want(http.StatusMultiStatus, "部分标签未能删除")
		equal(a, "results", plain(r.at("results")), plain([]any{
			obj{"tag_id": first, "status": "deleted"},
			obj{"tag_id": second, "status": "in_use", "instance_count": 1},
			obj{"tag_id": third, "status": "deleted"},
			obj{"tag_id": 4711, "status": "not_found"},
			obj{"tag_id": first, "status": "not_found"},
			obj{"tag_id": "x", "status": "invalid_id"},
			obj{"tag_id": 1.5, "status": "invalid_id"},
		}))
		a.guest.get("/tags").wantAt("total", 1)
		a.admin.post("/tags/batch-delete", obj{"tag_ids": []any{tag("again")}}).want(200, "标签批量删除成功")
		for _, body := range []obj{{}, {"tag_ids": nil}, {"tag_ids": 1}, {"tag_ids": []any{}}} {
			a.admin.post("/tags/batch-delete", body).wantCode(400, models.CodeInvalid, "tag_ids 不能为空")
		}
		entries, err := a.store.AuditLog(a.Context(), models.AuditQuery{Action: models.ActionDeleteTags, Limit: 10})
		check(a, err)
		equal(a, "audited", entries.Entries[len(entries.Entries)-1].TargetName, "first, third")
	})
}

func TestTags_Bulk(t *testing.T) {
	onBothStores(t, func(a *app) {
		tag := func(name string) int64 { return a.admin.post("/tags", obj{"name": name}).id("tag", "id") }
		add := func(name string, tags ...any) int64 {
			return a.admin.post("/instances", tagged(name, tags...)).want(201, "实例创建成功").id("instance", "id")
		}
		red, blue := tag("red"), tag("blue")
		one, two, binned := add("one", "red"), add("two"), add("binned")
		a.admin.remove(fmt.Sprintf("/instances/%d", binned)).want(200, "实例已移入回收站")

		both := obj{"instance_ids": []any{one, two, binned, 4711}, "tag_ids": []any{fmt.Sprint(red), blue, 99}}
		assigned := a.admin.post("/tags/bulk/assign", both).want(200, "标签批量分配成功,共分配 3 个标签关系").
			wantAt("assigned_count", 3, "instance_ids", []any{one, two, binned, 4711}, "tag_ids", []any{red, blue, 99})
		equal(a, "members", members(assigned.data), "assigned_count instance_ids tag_ids")
		a.admin.post("/tags/bulk/actions/assign", both).want(200, "标签批量分配成功,共分配 0 个标签关系")
		a.guest.post("/tags/bulk/instance-tags", obj{"instance_ids": []any{two}}).want(200, "操作成功").
			wantAt("tags.0.name", "blue", "tags.1.name", "red", "category_names.other", "其他标签", "instance_ids", []any{two})
		a.admin.post("/tags/bulk/remove", obj{"instance_ids": []any{one, two}, "tag_ids": []any{red}}).
			want(200, "标签批量移除成功,共移除 2 个标签关系").wantAt("removed_count", 2)
		a.admin.post("/tags/bulk/remove-all", obj{"instance_ids": []any{one, two}}).
			want(200, "批量移除成功,共移除 2 个标签关系").wantAt("removed_count", 2)
		a.guest.get("/tags").wantAt("items.0.instance_count", 0, "items.1.instance_count", 0)

		a.guest.get("/tags/bulk/instances").want(200, "操作成功").
			wantAt("instances", []any{bulkRow(one, "one"), bulkRow(two, "two")})
		a.guest.get("/tags/bulk/tags").wantAt("tags.1.name", "red", "category_names.location", "地区标签")
		a.refuseBulk(one, red)
	})
}

func bulkRow(id int64, name string) obj {
	return obj{"id": id, "name": name, "host": "h", "port": 1, "db_type": "mysql"}
}

// refuseBulk sends wrong changes of an instance's tags.
func (a *app) refuseBulk(instance, tag int64) {
	a.Helper()
	for _, path := range []string{"/tags/bulk/assign", "/tags/bulk/remove"} {
		a.admin.post(path, obj{}).wantCode(400, models.CodeEmptyRequest, "请求数据不能为空")
		a.admin.post(path, obj{"instance_ids": []any{instance}}).
			wantCode(400, models.CodeInvalid, "缺少必需字段: instance_ids, tag_ids")
		a.admin.post(path, obj{"instance_ids": []any{"x"}, "tag_ids": []any{tag}}).
			wantCode(400, models.CodeInvalid, "ID格式错误: instance_ids must be a list of integers")
		a.admin.post(path, obj{"instance_ids": []any{4711}, "tag_ids": []any{tag}}).
			wantCode(404, models.CodeNotFound, "未找到任何实例")
		a.admin.post(path, obj{"instance_ids": []any{instance}, "tag_ids": []any{4711}}).
			wantCode(404, models.CodeNotFound, "未找到任何标签")
		a.user.post(path, obj{"instance_ids": []any{instance}, "tag_ids": []any{tag}}).
			wantCode(403, models.CodeForbidden, "需要 create 权限")
	}
	for _, path := range []string{"/tags/bulk/remove-all", "/tags/bulk/instance-tags"} {
		a.admin.post(path, obj{"instance_ids": []any{}}).wantCode(400, models.CodeInvalid, "缺少必需字段: instance_ids")
		a.admin.post(path, obj{"instance_ids": []any{4711}}).wantCode(404, models.CodeNotFound, "未找到任何实例")
	}
}
