package handlers_test

import (
	"net/http"
	"net/url"
	"testing"
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
