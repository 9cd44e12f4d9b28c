package e2e

import (
	"fmt"
	"strings"
	"testing"

	"whalefall/cli/clitest"
)

// TestWalk_TagsAndRecycleBin adds, uses and deletes tags, and empties the recycle bin.
func TestWalk_TagsAndRecycleBin(t *testing.T) {
	t.Parallel()
	for _, way := range []struct{ lang, theme string }{{"zh-CN", "light"}, {"en", "dark"}} {
		t.Run(way.lang+"-"+way.theme, func(t *testing.T) {
			t.Parallel()
			a := clitest.Start(t, "--data-dir", t.TempDir())
			w := walk{browser: newBrowser(t), app: a, lang: way.lang, theme: way.theme}
			w.logIn("admin", a.Password)
			w.open(a.URL + "/tags")
			w.look("tags-none")
			for _, color := range []string{"gray", "blue", "teal", "green", "yellow", "orange", "red", "pink", "purple"} {
				w.addTag(way.theme+"_"+color, color)
			}
			w.look("tags")
			w.tagInstance("tagged_"+way.theme, way.theme+"_teal")
			w.deleteTag(way.theme + "_green")
			w.emptyBin("tagged_" + way.theme)
			w.quiet("409")
		})
	}
}

// addTag adds a tag and waits until the list shows it.
func (w *walk) addTag(name, color string) {
	w.t.Helper()
	w.click("#add-tag")
	w.fill("#modal input[name=name]", name)
	w.click("#modal input[value=" + color + "]")
	if color == "teal" {
		w.look("tag-form")
	}
	w.click("#tag-form-save")
	w.until(`!document.querySelector("#modal-dialog").open && location.pathname == "/tags"`)
	w.until(fmt.Sprintf(`[...document.querySelectorAll("tbody .tag-%s")].some(t => t.textContent == %q)`, color, name))
}

// tagInstance adds an instance with a tag, and finds it by the link of the tag's number of instances.
func (w *walk) tagInstance(instance, tag string) {
	w.t.Helper()
	w.open(w.app.URL + "/instances/new")
	w.fill("input[name=name]", instance)
	w.fill("input[name=host]", "db.example")
	w.fill("input[name=tag_names]", tag+", "+w.theme+"_red, "+w.theme+"_purple")
	w.click("#instance-save")
	w.until(`/^\/instances\/\d+$/.test(location.pathname)`)
	w.open(w.app.URL + "/tags?sort=-instances&search=" + tag)
	w.click("tbody td.num a")
	w.until(`location.search == "?tags=` + tag + `"`)
	if names := w.text("tbody"); !strings.Contains(names, instance) {
		w.t.Errorf("instances with the tag: got %q, want %q in it", names, instance)
	}
	w.look("tags-instances")
}

// deleteTag is refused a second tag of this name, and deletes the tag.
func (w *walk) deleteTag(tag string) {
	w.t.Helper()
	w.open(w.app.URL + "/tags?search=" + tag)
	w.click("#add-tag")
	w.fill("#modal input[name=name]", tag)
	w.click("#tag-form-save")
	w.see("#modal #form-problem .inline-result.error")
	w.look("tag-refused")
	w.press("\x1b")
	w.until(`!document.querySelector("#modal-dialog").open`)
	w.click("tbody button.link.danger")
	w.see("tbody [popover] button.solid")
	w.look("tag-delete-asked")
	w.click("tbody [popover] button.solid")
	w.see("#toasts .toast.success")
	w.gone("tbody tr")
	w.look("tag-deleted")
}

// emptyBin moves the instance to the recycle bin and deletes it permanently.
func (w *walk) emptyBin(instance string) {
	w.t.Helper()
	w.open(w.app.URL + "/instances?search=" + instance)
	w.click("tbody a[data-primary]")
	w.click("#delete-instance")
	w.click("#delete-confirmed")
	w.until(`location.pathname == "/instances"`)
	w.open(w.app.URL + "/instances?status=deleted")
	w.resize(1280, 800)
	if w.overflows(".table-wrap") {
		w.t.Error("the recycle bin is wider than 1280 pixels")
	}
	w.click("tbody button.link.danger")
	w.see("tbody [popover] button.solid")
	w.look("destroy-asked")
	w.click("tbody [popover] button.solid")
	w.see("#toasts .toast.success")
	w.gone("tbody tr")
	w.look("bin-empty")
}
