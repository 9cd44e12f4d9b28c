package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"whalefall/cli/clitest"
)

// TestWalk_Account ends another login, changes the password, creates a token, uses it and deletes it, and finds all of
// this in the audit log, in both languages and themes.
func TestWalk_Account(t *testing.T) {
	t.Parallel()
	for _, look := range [][2]string{{"zh-CN", "light"}, {"en", "dark"}} {
		t.Run(look[0], func(t *testing.T) {
			t.Parallel()
			a := clitest.Start(t, "--data-dir", t.TempDir())
			w := walk{browser: newBrowser(t), app: a, lang: look[0], theme: look[1]}
			w.logIn("admin", a.Password)
			w.resize(1280, 800)
			w.endSession()
			w.changePassword()
			secret := w.createToken()
			w.deleteToken(secret)
			w.readAudit()
		})
	}
}

// endSession ends a login in another browser.
func (w *walk) endSession() {
	w.t.Helper()
	forgotten := w.app.LogIn(w.t)
	w.click("a.user")
	w.until(`document.querySelectorAll("[data-session]").length == 2 &&
		document.querySelectorAll("[data-session]:has(.badge)").length == 1`)
	w.look("account")
	w.click("[data-session]:not(:has(.badge)) button")
	w.see("#toasts .toast.success")
	w.until(`document.querySelectorAll("[data-session]").length == 1 && !!document.querySelector("[data-session] .badge")`)
	response, err := forgotten.Get(w.app.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	response.Body.Close()
	if got := response.Request.URL.Path; got != "/login" {
		w.t.Errorf("the ended login leads to %s, want /login", got)
	}
	w.quiet()
}

func (w *walk) changePassword() {
	w.t.Helper()
	w.see("#password-form")
	for name, text := range map[string]string{
		"old_password":     "Wrong1horse",
		"new_password":     "Another1horse",
		"confirm_password": "Another1horse",
	} {
		w.fill(`input[name=`+name+`]`, text)
	}
	w.click("#password-save")
	w.see("#form-problem .inline-result")
	w.look("account-refused")
	w.quiet("401")
	w.fill(`input[name=old_password]`, w.app.Password)
	w.click("#password-save")
	w.see("#toasts .toast.success")
	w.quiet()
}

// createToken creates two tokens and returns the secret of the second.
func (w *walk) createToken() string {
	w.t.Helper()
	w.click("#own-tokens")
	w.see("#token-list .state")
	w.look("tokens-none")
	var secret string
	for _, name := range []string{`<b>备份 "脚本"</b>`, "ci"} {
		w.click("#add-token")
		w.fill("#token-form input[name=name]", name)
		w.look("token-form")
		w.click("#token-save")
		w.see("#token-secret")
		w.until(`document.activeElement.id == "modal-title"`)
		secret = w.text("#token-secret pre")
		w.look("token-made")
		w.run(`document.querySelector("#modal-dialog").dispatchEvent(new MouseEvent("click", {bubbles: true}))`)
		w.see("#token-secret") // a click on the backdrop does not lose the secret
		w.click("#modal .panel-foot [data-close]")
		w.gone("#modal-dialog[open]")
		quoted := fmt.Sprintf("%q", strings.ReplaceAll(name, `"`, `\"`))
		w.see(`tr[data-token=` + quoted + `], tr[data-token='` + name + `']`)
	}
	w.click("#add-token")
	w.fill("#token-form input[name=name]", "ci")
	w.click("#token-save")
	w.see("#form-problem .inline-result")
	w.look("token-refused")
	w.click("#modal .panel-foot [data-close]")
	w.gone("#modal-dialog[open]")
	w.wantToken(secret, http.StatusOK)
	w.open(w.app.URL + "/tokens")
	w.look("tokens")
	w.quiet("409")
	return secret
}

// wantToken calls the API with the token and checks the status of the response.
func (w *walk) wantToken(secret string, status int) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.app.URL+"/api/v1/instances", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	response, err := clitest.NewClient(w.t).Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != status {
		w.t.Errorf("status with the token: got %d, want %d", response.StatusCode, status)
	}
}

func (w *walk) deleteToken(secret string) {
	w.t.Helper()
	row := `tr[data-token=ci] `
	w.click(row + ".link.danger")
	w.see(row + ".confirm")
	w.look("token-delete")
	w.click(row + ".confirm .danger.solid")
	w.gone(row)
	w.wantToken(secret, http.StatusUnauthorized)
	w.quiet()
}

func (w *walk) readAudit() {
	w.t.Helper()
	w.click(`nav a[href="/audit"]`)
	w.see("#audit-list tbody tr")
	w.look("audit")
	if w.overflows("#audit-list .table-wrap") {
		w.t.Error("the audit log is wider than the window")
	}
	w.choose("#audit-filter select[name=result]", "failure")
	w.until(`[...document.querySelectorAll("#audit-list tbody tr")].every(r => r.querySelector(".failed"))`)
	w.choose("#audit-filter select[name=action]", "auth.change_password")
	w.until(`document.querySelectorAll("#audit-list tbody tr").length == 1`)
	got := w.text("#audit-list tbody tr")
	if !strings.Contains(got, "INVALID_OLD_PASSWORD") || !strings.Contains(got, "admin") {
		w.t.Errorf("audit entry: got %q, want INVALID_OLD_PASSWORD and admin in it", got)
	}
	w.look("audit-filtered")
	w.fill("#audit-target", "nothing of the sort")
	w.see("#audit-list .state")
	w.look("audit-empty")
	w.quiet()
}
