package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestInstanceRows reads what a row says of an instance with many tags and nothing collected, in the list and in the bin.
func TestInstanceRows(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir()+"/store.db")
	id := a.admin.post("/instances", obj{
		"name": "busy", "db_type": "mysql", "host": "h", "port": 1, "tag_names": []any{"a", "b", "c", "d\u202e", "e"},
	}).want(http.StatusCreated, "实例创建成功").id("instance", "id")

	list := a.guest.visit("/instances?search=busy").wantStatus(http.StatusOK).has(4, "tbody .tag").has(1, "tbody .tag-more", "th a[id$=sort-growth]")
	equal(t, "more", list.doc.Find("tbody .tag-more").Text(), "+2")
	equal(t, "their names", list.doc.Find("tbody .tag-more").AttrOr("title", ""), "d\u202e, e")
	equal(t, "databases", strings.TrimSpace(list.doc.Find("tbody td.num").First().Text()), "—")

	taken := url.Values{"name": {"busy"}, "db_type": {"mysql"}, "host": {"h"}, "port": {"1"}}
	a.admin.submit("/instances", taken, into("test-result")...).wantStatus(http.StatusConflict).says("实例名称已存在").has(1, ".inline-result.error")

	a.admin.remove(fmt.Sprintf("/instances/%d", id)).want(http.StatusOK, "实例已移入回收站")
	a.admin.visit("/instances?status=deleted").has(1, "tbody .row-actions").has(0, "th a[id$=sort-growth]")
}
