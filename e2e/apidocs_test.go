package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"

	"whalefall/cli/clitest"
)

// TestWalk_APIDocument opens the API document in the browser and adds an instance from it: the viewer lives with the
// content policy, follows the theme, and sends the CSRF token by itself.
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
			w.until(`document.querySelector("#operations-instances-createInstance .live-responses-table tr.response .response-col_status").innerText.trim().startsWith("201")`)
			w.run(`document.querySelector("#operations-instances-createInstance .live-responses-table").scrollIntoView()`)
			w.picture("tried")
			if dark := ask[bool](w.browser, `document.documentElement.classList.contains("dark-mode")`); dark != (look[1] == "dark") {
				t.Errorf("dark: %t", dark)
			}
			w.quiet()
			w.open(a.URL + "/instances")
			w.see("#instance-list tbody tr")
		})
	}
}

func (b *browser) picture(name string) {
	b.t.Helper()
	b.keep(name, do(b, "picture", chromedp.CaptureScreenshot()))
}
