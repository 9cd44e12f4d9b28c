package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"whalefall/models"
)

// People see where they are logged in, and end what they have forgotten.
func TestSessions(t *testing.T) {
	onBothStores(t, func(a *app) {
		forgotten := a.login("guest_1", password)
		list := a.guest.get("/auth/sessions").want(200, "获取会话列表成功").wantAt("total", 2)
		own := 0
		for i := range 2 {
			if list.at("items", i, "current") == true {
				own++
			}
		}
		equal(a, "own", own, 1)
		a.guest.visit("/account").wantStatus(200).has(2, "[data-session]").has(1, "#end-sessions")
		a.guest.remove("/auth/sessions").want(200, "其他会话已结束").wantAt("ended_count", 1)
		forgotten.get("/instances").want(401, "请先登录")
		a.user.get("/instances").want(200, "获取实例列表成功")

		forgotten = a.login("guest_1", password)
		a.guest.submit("/account/sessions/end", url.Values{}).wantStatus(http.StatusSeeOther)
		forgotten.get("/instances").want(401, "请先登录")
		a.guest.visit("/account").has(1, "[data-session]").has(0, "#end-sessions")
	})
}

// People end one login of their own, and nobody else's.
func TestSessions_One(t *testing.T) {
	onBothStores(t, func(a *app) {
		const missing = "会话不存在或已结束"
		// others returns the IDs of the client's other sessions.
		others := func(c *client) (ids []string) {
			for _, item := range c.get("/auth/sessions").at("items").([]any) {
				if one := item.(obj); one["current"] == false {
					ids = append(ids, one["id"].(string))
				}
			}
			return ids
		}
		first, second := a.login("guest_1", password), a.login("guest_1", password)
		ids := others(a.guest)
		equal(a, "others", len(ids), 2)
		for _, id := range append(others(a.guest), "x", "%00", "%FF", "1", strings.Repeat("x", 9999)) {
			a.user.remove("/auth/sessions/"+id).wantCode(404, models.CodeNotFound, missing)
		}
		a.user.submit("/account/sessions/"+ids[0]+"/end", url.Values{}).wantStatus(http.StatusNotFound)

		page := a.guest.visit("/account").has(3, "[data-session]").has(1, "[data-session] .badge").
			has(2, "[data-session] form").says("当前会话")
		current := page.doc.Find("[data-session]:has(.badge)").AttrOr("data-session", "")
		equal(a, "current", strings.Contains(strings.Join(ids, " "), current), false)

		a.guest.remove("/auth/sessions/"+ids[0]).want(200, "会话已结束")
		a.guest.remove("/auth/sessions/"+ids[0]).wantCode(404, models.CodeNotFound, missing)
		p := a.guest.submit("/account/sessions/"+ids[1]+"/end", url.Values{}).wantStatus(http.StatusSeeOther)
		equal(a, "back to", p.header.Get("Location"), "/account")
		for _, ended := range []*client{first, second} {
			ended.get("/instances").want(401, "请先登录")
		}
		a.guest.get("/instances").want(200, "获取实例列表成功")
		token := a.guest.token("mine", "guest")
		token.remove("/auth/sessions/"+current).want(200, "会话已结束")
		a.guest.get("/instances").want(401, "请先登录")
		a.admin.get("/audit?action=auth.end_session").
			wantAt("total", 12, "items.0.username", "guest_1", "items.0.target_name", "guest_1", "items.0.token_name", "mine")
	})
}
