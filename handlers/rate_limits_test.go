package handlers_test

import (
	"testing"

	"whalefall/handlers"
	"whalefall/models"
)

// The owner of one IPv6 address has the rest of its /64, too.
func TestNetworkOf_IPv6(t *testing.T) {
	t.Parallel()
	a := newAppLimited(t, t.TempDir()+"/store.db", nil, handlers.Limits{Address: 60})
	from := func(address string) *client { return a.admin.with("X-Forwarded-For", address) }
	for range 30 {
		from("2001:db8:1:2::1").get("/health/ping").want(200, "健康检查成功")
		from("2001:db8:1:2:ffff::").get("/health/ping").want(200, "健康检查成功")
	}
	from("2001:db8:1:2::3").get("/health/ping").wantCode(429, models.CodeRateLimited, "请求过于频繁,请稍后再试")
	from("2001:db8:1:3::1").get("/health/ping").want(200, "健康检查成功")
	for range models.LoginFailureLimit / 2 {
		from("2001:db8:1:4::1").post("/auth/login", obj{"username": "admin", "password": "wrong"})
		from("2001:db8:1:4::2").post("/auth/login", obj{"username": "admin", "password": "wrong"})
	}
	from("2001:db8:1:4::3").post("/auth/login", obj{"username": "admin", "password": password}).
		wantCode(429, models.CodeRateLimited, "请求过于频繁,请稍后再试")
}
