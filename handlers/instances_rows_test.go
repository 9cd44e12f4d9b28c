package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestInstancesPage_Rows checks the row of an instance with many tags and no collection, in the list and in the bin.
func TestInstancesPage_Rows(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	id := a.admin.post("/instances", obj{
		"name": "busy", "db_type": "mysql", "host": "h", "port": 1, "tag_names": []any{"a", "b", "c", "d\u202e", "e"},
	}).want(http.StatusCreated, "实例创建成功").id("instance", "id")

	list := a.guest.visit("/instances?search=busy").
		wantStatus(http.StatusOK).
		has(4, "tbody .tag").
		has(1, "tbody .tag-more", "th a[id$=sort-growth]")
	equal(t, "more", list.doc.Find("tbody .tag-more").Text(), "+2")
	equal(t, "their names", list.doc.Find("tbody .tag-more").AttrOr("title", ""), "d\u202e, e")
	equal(t, "databases", strings.TrimSpace(list.doc.Find("tbody td.num").First().Text()), "—")

	if next := list.doc.Find("tbody td.time [title]").AttrOr("title", ""); !strings.HasPrefix(next, "下次采集 2") {
		t.Errorf("never collected, says %q", next)
	}
	list.has(0, "tbody .status + .badge")
	a.admin.put(fmt.Sprintf("/instances/%d", id), obj{
		"name": "busy", "db_type": "mysql", "host": "h", "port": 1, "schedule": obj{"enabled": false},
	}).
		want(http.StatusOK, "实例更新成功")
	off := a.guest.visit("/instances?search=busy").has(1, "tbody .status.active + .badge[title]").says("未启用计划")
	equal(t, "no next", off.doc.Find("tbody td.time [title]").AttrOr("title", ""), "")
	a.guest.visit("/instances?status=paused").has(0, "tbody tr")

	taken := url.Values{"name": {"busy"}, "db_type": {"mysql"}, "host": {"h"}, "port": {"1"}}
	a.admin.submit("/instances", taken, into("test-result")...).
		wantStatus(http.StatusConflict).
		says("实例名称已存在").
		has(1, ".inline-result.error")

	a.admin.remove(fmt.Sprintf("/instances/%d", id)).want(http.StatusOK, "实例已移入回收站")
	a.admin.visit("/instances?status=deleted").has(1, "tbody .row-actions").has(0, "th a[id$=sort-growth]")
}
