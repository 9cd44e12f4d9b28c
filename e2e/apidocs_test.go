package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"

	"whalefall/cli/clitest"
)

// TestWalk_APIDocument opens the API document in the browser and adds an instance from it: the viewer works under the
// content security policy, follows the theme, and sends the CSRF token.
func TestWalk_APIDocument(t *testing.T) {
	t.Parallel()
	for _, look := range [][2]string{{"zh-CN", "light"}, {"en", "dark"}} {
		t.Run(look[1], func(t *testing.T) {
			t.Parallel()
			a := clitest.Start(t, "--data-dir", t.TempDir())
			w := walk{browser: newBrowser(t), app: a, lang: look[0], theme: look[1]}
			w.logIn("admin", a.Password)
			w.press("?")
			w.click("#help a[href='/api/v1/docs']")
			w.see("#operations-instances-listInstances, #operations-tag-instances")
			w.picture("docs")
			w.click("#operations-tag-instances")
			w.click("#operations-instances-createInstance .opblock-summary-control")
			w.see("#operations-instances-createInstance .responses-table")
			w.picture("operation")
			w.click("#operations-instances-createInstance .try-out__btn")
			w.click("#operations-instances-createInstance .execute")
			w.see("#operations-instances-createInstance .live-responses-table")
			const responses = `document.querySelector("#operations-instances-createInstance .live-responses-table")`
			w.until(responses + `.querySelector("tr.response .response-col_status").innerText.trim().startsWith("201")`)
			w.run(responses + `.scrollIntoView()`)
			w.picture("tried")
			dark := evaluate[bool](w.browser, `document.documentElement.classList.contains("dark-mode")`)
			if want := look[1] == "dark"; dark != want {
				t.Errorf("dark mode: got %t, want %t", dark, want)
			}
			w.quiet()
			w.open(a.URL + "/instances")
			w.see("#instance-list tbody tr")
		})
	}
}

// picture saves a screenshot without running axe, which is for our own pages.
func (b *browser) picture(name string) {
	b.t.Helper()
	b.save(name, do(b, "take a screenshot", chromedp.CaptureScreenshot()))
}
