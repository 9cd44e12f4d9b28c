package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"whalefall/cli/clitest"
)

// TestWalk_Account changes a password, makes and deletes a token that works while it is there, and finds all of it in
// the audit log, in both languages and themes.
func TestWalk_Account(t *testing.T) {
	t.Parallel()
	for _, look := range [][2]string{{"zh-CN", "light"}, {"en", "dark"}} {
		t.Run(look[0], func(t *testing.T) {
			t.Parallel()
			a := clitest.Start(t, "--data-dir", t.TempDir())
			w := walk{browser: newBrowser(t), app: a, lang: look[0], theme: look[1]}
			w.logIn("admin", a.Password)
			w.resize(1280, 800)
			w.changePassword()
			secret := w.makeToken()
			w.deleteToken(secret)
			w.readAudit()
		})
	}
}

func (w *walk) changePassword() {
	w.t.Helper()
	w.click("a.user")
	w.see("#password-form")
	w.look("account")
	for name, text := range map[string]string{"old_password": "Wrong1horse", "new_password": "Another1horse", "confirm_password": "Another1horse"} {
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

// makeToken makes two tokens and returns the secret of the second.
func (w *walk) makeToken() string {
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
		w.see("#token-secret") // a click beside it does not lose the secret
		w.click("#modal .panel-foot [data-close]")
		w.gone("#modal-dialog[open]")
		w.see(`tr[data-token=` + fmt.Sprintf("%q", strings.ReplaceAll(name, `"`, `\"`)) + `], tr[data-token='` + name + `']`)
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

func (w *walk) wantToken(secret string, status int) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.app.URL+"/api/v1/instances", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	answer, err := clitest.NewClient(w.t).Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != status {
		w.t.Errorf("the token gets %d, want %d", answer.StatusCode, status)
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
	if wide := ask[bool](w.browser, `document.querySelector("#audit-list .table-wrap").scrollWidth > document.querySelector("#audit-list .table-wrap").clientWidth`); wide {
		w.t.Error("the audit log is wider than the window")
	}
	w.choose("#audit-filter select[name=result]", "failure")
	w.until(`[...document.querySelectorAll("#audit-list tbody tr")].every(r => r.querySelector(".failed"))`)
	w.choose("#audit-filter select[name=action]", "auth.change_password")
	w.until(`document.querySelectorAll("#audit-list tbody tr").length == 1`)
	if got := w.text("#audit-list tbody tr"); !strings.Contains(got, "INVALID_OLD_PASSWORD") || !strings.Contains(got, "admin") {
		w.t.Errorf("the entry says %q", got)
	}
	w.look("audit-filtered")
	w.fill("#audit-target", "nothing of the sort")
	w.see("#audit-list .state")
	w.look("audit-empty")
	w.quiet()
}
