package e2e

import (
	"strings"
	"testing"

	"whalefall/cli/clitest"
)

// TestWalk_UsersAndCredentials manages users and credentials as an admin.
func TestWalk_UsersAndCredentials(t *testing.T) {
	t.Parallel()
	for _, way := range []struct{ lang, theme string }{{"zh-CN", "light"}, {"en", "dark"}} {
		t.Run(way.lang+"-"+way.theme, func(t *testing.T) {
			t.Parallel()
			a := clitest.Start(t, "--data-dir", t.TempDir())
			w := walk{browser: newBrowser(t), app: a, lang: way.lang, theme: way.theme}
			w.logIn("admin", a.Password)
			name := "operator_" + way.theme
			w.addUser(name)
			w.deactivateUser(name)
			w.editOwnUser()
			w.manageCredential("监控_" + way.theme)
		})
	}
}

// addUser adds a user, after a password that is refused.
func (w *walk) addUser(name string) {
	w.t.Helper()
	w.open(w.app.URL + "/users?sort=-name")
	w.click("#add-user")
	w.fill("#modal input[name=username]", name)
	w.fill("#modal input[name=password]", "weakweak")
	w.look("user-form")
	w.click("#user-form-save")
	w.see("#modal #form-problem .inline-result.error")
	w.look("user-refused")
	w.until(`document.activeElement.id == "user-form-save"`) // it was disabled during the request
	if got := evaluate[string](w.browser, `document.querySelector("#modal input[name=username]").value`); got != name {
		w.t.Errorf("user name in the refused form: got %q, want %q", got, name)
	}
	w.fill("#modal input[name=password]", "Correct1Horse")
	w.click("#user-form-save")
	w.see(`tr[data-user="` + name + `"]`)
	w.until(`!document.querySelector("#modal-dialog").open &&
		location.pathname + location.search == "/users?sort=-name"`)
	if got := w.text("#toasts .toast.success"); !strings.Contains(got, name) {
		w.t.Errorf("toast: got %q, want %q in it", got, name)
	}
	w.look("users")
	w.quiet("400")
}

// deactivateUser deactivates and activates the user, and changes the role.
func (w *walk) deactivateUser(name string) {
	w.t.Helper()
	row := `tr[data-user="` + name + `"] `
	w.click(row + "button.link.danger")
	w.see(row + "[popover] button.solid")
	w.look("user-off-asked")
	w.click(row + "[popover] button.solid")
	w.see(row + ".status.inactive")
	w.click(row + "button[name=is_active]")
	w.see(row + ".status.active")
	w.click(row + "a[data-primary]")
	w.choose("#modal select[name=role]", "guest")
	w.click("#user-form-save")
	w.until(`!document.querySelector("#modal-dialog").open`)
	w.quiet()
}

// editOwnUser opens the form of the admin's own user, and is refused a lower role.
func (w *walk) editOwnUser() {
	w.t.Helper()
	path := evaluate[string](w.browser, `document.querySelector("tr[data-user=admin] a[data-primary]").pathname`)
	w.open(w.app.URL + path)
	w.see("#own-account")
	w.choose("select[name=role]", "guest")
	w.click("#user-form-save")
	w.see("#form-problem .inline-result.error")
	w.look("own-account")
	w.choose("select[name=role]", "admin")
	w.click("#user-form-save")
	w.until(`location.pathname == "/users"`)
	w.see("#toasts .toast.success")
	w.quiet("409")
}

// manageCredential adds a credential and is refused to delete it while an instance uses it.
func (w *walk) manageCredential(name string) {
	w.t.Helper()
	w.click(`nav a[href="/credentials"]`)
	w.see("#credential-list")
	w.look("credentials-before")
	w.click("#add-credential")
	w.fill("#modal input[name=name]", name)
	w.choose("#modal select[name=db_type]", "postgresql")
	w.fill("#modal input[name=username]", "monitor")
	w.fill("#modal input[name=password]", "p@ss:/?#")
	w.fill("#modal textarea[name=hosts]", "*.example\n10.1.0.0/16")
	w.fill("#modal textarea[name=description]", "只读监控账号")
	w.look("credential-form")
	w.click("#credential-form-save")
	row := `tr[data-credential="` + name + `"] `
	w.see(row)
	w.until(`!document.querySelector("#modal-dialog").open`)
	w.useCredential("holder_"+w.theme, name)
	w.open(w.app.URL + "/credentials")
	w.click(row + "button.link.danger")
	w.see(row + "[popover] button.solid")
	w.look("credential-delete-asked")
	w.click(row + "[popover] button.solid")
	w.see("#toasts .toast.error")
	w.until(`!document.querySelector(":popover-open")`)
	if got := w.text("#toasts .toast.error"); !strings.Contains(got, "holder_"+w.theme) {
		w.t.Errorf("toast: got %q, want %q in it", got, "holder_"+w.theme)
	}
	w.look("credential-in-use")
	w.resize(1280, 800)
	if evaluate[bool](w.browser, `document.documentElement.scrollWidth > innerWidth`) || w.overflows(".table-wrap") {
		w.t.Error("the list is wider than 1280 pixels")
	}
	w.resize(390, 844)
	w.see(`nav a[href="/users"]`)
	w.see(`a.user`)
	w.look("credentials-phone")
	w.resize(1440, 900)
	w.quiet("409")
}

// useCredential adds an instance that uses the credential.
func (w *walk) useCredential(instance, credential string) {
	w.t.Helper()
	w.open(w.app.URL + "/instances/new")
	w.fill("input[name=name]", instance)
	w.fill("input[name=host]", "db.example")
	w.until(`!document.querySelector(".credential-bound").checkVisibility()`)
	w.run(`{
		const s = document.querySelector(".credential-choice");
		s.value = [...s.options].find(o => o.text.startsWith("` + credential + `")).value;
		s.dispatchEvent(new Event("change", {bubbles: true}));
	}`)
	w.see(".credential-bound input")
	w.look("instance-form-credential")
	w.choose(".tls-choice", "prefer")
	w.click("#instance-save")
	w.until(`/^\/instances\/\d+$/.test(location.pathname)`)
	w.see("#plain-line")
	w.look("instance-plain-line")
}
