package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

func TestAccountPage(t *testing.T) {
	onBothStores(t, func(a *app) {
		other := a.login("guest_1", password)
		a.guest.visit("/account").wantStatus(http.StatusOK).says("guest_1").says("访客").has(1, "#password-form", "#own-tokens")
		a.guest.visit("/account", "Accept-Language", "en").says("Guest").says("Change password")
		change := func(old, fresh, again string, headers ...string) *page {
			return a.guest.submit("/account/password", url.Values{
				"old_password": {old}, "new_password": {fresh}, "confirm_password": {again}, "username": {"admin"},
			}, headers...)
		}
		for _, wrong := range []struct {
			old, fresh, again, says string
			status                  int
		}{
			{"", "", "", "所有字段都不能为空", 400},
			{password, "Another1one", "Another1two", "两次输入的新密码不一致", 400},
			{password, password, password, "新密码不能与当前密码相同", 400},
			{password, "short", "short", "密码长度至少8位", 400},
			{"Wrong1horse", "Another1one", "Another1one", "当前密码错误", 401},
		} {
			inForm := change(wrong.old, wrong.fresh, wrong.again, into("form-problem")...).wantStatus(wrong.status).
				says(wrong.says).
				has(1, ".inline-result")
			equal(a, "target", inForm.header.Get("HX-Retarget"), "#form-problem")
			// Without scripts the form comes back, without any password.
			p := change(wrong.old, wrong.fresh, wrong.again).wantStatus(wrong.status).
				says(wrong.says).
				has(1, "#password-form #form-problem .inline-result")
			if strings.Contains(plainHTML(p), password) || strings.Contains(plainHTML(p), "Another1one") {
				a.Error("a password came back")
			}
		}
		done := change(password, "Another1one", "Another1one", into("form-problem")...).wantStatus(http.StatusOK)
		equal(a, "then", done.header.Get("HX-Redirect"), "/account")
		a.guest.visit("/account").says("密码已修改")
		other.visit("/account").wantStatus(http.StatusSeeOther)
		a.login("guest_1", "Another1one")
		a.login("admin", password) // a user name in the form is ignored
	})
}

func TestTokensPage(t *testing.T) {
	onBothStores(t, func(a *app) {
		a.user.visit("/tokens").wantStatus(http.StatusOK).has(1, "#token-list .state")
		form := a.user.visit("/tokens/new").wantStatus(http.StatusOK).has(2, "#token-form select[name=role] option")
		equal(a, "role", form.doc.Find("option[selected]").AttrOr("value", ""), "user")
		a.admin.visit("/tokens/new", into("modal")...).has(3, "#token-form option").has(0, "nav")

		name := `"><script>alert(1)</script>`
		day := a.now().AddDate(0, 6, 0).Format(time.DateOnly)
		token := url.Values{"name": {name}, "role": {"guest"}, "expires_at": {day}}
		made := a.user.submit("/tokens", token, into("form-problem")...).
			wantStatus(http.StatusOK).
			says(name).
			says(day+" 23:59:59 Asia/Shanghai").
			has(0, "script")
		equal(a, "into", made.header.Get("HX-Retarget"), "#token-panel")
		equal(a, "event", made.header.Get("HX-Trigger"), "tokens-changed")
		equal(a, "cache", made.header.Get("Cache-Control"), "no-store")
		secret := made.doc.Find("[data-copy]").AttrOr("data-copy", "")
		a.bearer(secret).get("/auth/session").wantAt("user.role", "guest")

		// Without scripts the secret is on a page of its own.
		alone := a.user.submit("/tokens", url.Values{"name": {"ci"}, "expires_at": {""}}).
			wantStatus(http.StatusOK).
			has(1, "main #token-secret pre code")
		a.bearer(alone.doc.Find("#token-secret pre code").Text()).get("/instances").want(200, "获取实例列表成功")
		again := a.user.submit("/tokens", url.Values{"name": {"ci"}, "role": {"guest"}, "expires_at": {day}}).
			wantStatus(http.StatusConflict).says("令牌名称已存在")
		equal(a, "name again", again.doc.Find("input[name=name]").AttrOr("value", ""), "ci")
		equal(a, "day again", again.doc.Find("input[name=expires_at]").AttrOr("value", ""), day)
		for _, wrong := range []struct{ field, value, says string }{
			{"name", "", "名称"},
			{"expires_at", "2020-01-01", "到期日 必须晚于当前时间"},
			{"expires_at", "x", "到期日 格式错误"},
			{"role", "root", "角色仅支持"},
		} {
			values := url.Values{"name": {"new"}}
			values.Set(wrong.field, wrong.value)
			a.user.submit("/tokens", values, into("form-problem")...).
				wantStatus(http.StatusBadRequest).
				says(wrong.says).
				has(1, ".inline-result")
		}
		a.user.submit("/tokens", url.Values{"name": {"new"}, "role": {"admin"}}, into("form-problem")...).
			wantStatus(http.StatusForbidden).says("需要 管理 权限")
		a.guest.submit("/tokens", url.Values{"name": {"new"}, "role": {"user"}}, into("form-problem")...).
			wantStatus(http.StatusForbidden).says("需要 普通用户 权限")

		a.stale("user_1", "old", a.now().Add(-time.Hour))
		list := a.user.visit("/tokens", into("token-list")...).
			has(3, "tbody tr").
			has(1, "tr[data-token=old] .status.gone").
			says("已过期").
			says("从未使用")
		if strings.Contains(plainHTML(list), secret) {
			a.Error("the list shows a secret")
		}
		a.admin.put(fmt.Sprintf("/users/%d", a.userID("user_1")), obj{"role": "guest"}).want(200, "用户更新成功")
		a.user.visit("/tokens").has(2, "tbody .badge.warning").says("仅限访客")
		a.guest.visit("/tokens").has(1, "#token-list .state")

		tokens, err := a.store.Tokens(a.Context(), a.userID("user_1"))
		check(a, err)
		path := fmt.Sprintf("/tokens/%d/delete", tokens[len(tokens)-1].ID)
		a.guest.submit(path, url.Values{}, into("toasts")...).wantStatus(http.StatusNotFound)
		gone := a.user.submit(path, url.Values{}, into("toasts")...).
			wantStatus(http.StatusOK).
			has(1, ".toast.success").
			says(name)
		equal(a, "event", gone.header.Get("HX-Trigger"), "tokens-changed")
		a.bearer(secret).get("/instances").wantCode(401, models.CodeUnauthenticated, "请先登录")
		for _, page := range []string{"/account", "/tokens", "/tokens/new"} {
			a.anonymous.visit(page).wantStatus(http.StatusSeeOther)
		}
	})
}
