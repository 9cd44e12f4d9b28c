package handlers_test

import (
	"net/http"
	"testing"

	"whalefall/handlers"
	"whalefall/models"
)

// The owner of one IPv6 address has the rest of its /64, too.
func TestNetworkOf_IPv6(t *testing.T) {
	t.Parallel()
	const budget = 8 // what the logins of the app need
	a := newAppLimited(t, t.TempDir()+"/store.db", nil, handlers.Limits{Address: budget})
	from := func(address string) *client { return a.admin.with("X-Forwarded-For", address) }
	// The budget refills meanwhile, by the 8 requests that would pass if the addresses were apart only within a minute.
	refused := 0
	for range budget {
		for _, address := range []string{"2001:db8:1:2::1", "2001:db8:1:2:ffff::"} {
			if r := from(address).get("/health/ping"); r.status == http.StatusTooManyRequests {
				r.wantCode(429, models.CodeRateLimited, "请求过于频繁,请稍后再试")
				refused++
			}
		}
	}
	if refused == 0 {
		t.Error("two addresses of a /64 have a budget each")
	}
	from("2001:db8:1:3::1").get("/health/ping").want(200, "健康检查成功")
	for range models.LoginFailureLimit / 2 {
		from("2001:db8:1:4::1").post("/auth/login", obj{"username": "admin", "password": "wrong"})
		from("2001:db8:1:4::2").post("/auth/login", obj{"username": "admin", "password": "wrong"})
	}
	from("2001:db8:1:4::3").post("/auth/login", obj{"username": "admin", "password": password}).
		wantCode(429, models.CodeRateLimited, "请求过于频繁,请稍后再试")
}
