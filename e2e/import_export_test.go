package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"whalefall/cli/clitest"
)

// TestWalk_ImportAndExport imports a file with valid and invalid rows, then one that is not CSV, and exports the
// instances that a search finds.
func TestWalk_ImportAndExport(t *testing.T) {
	t.Parallel()
	for lang, want := range map[string]struct{ created, reason, refused string }{
		"zh-CN": {"成功创建 2 个实例", "第 3 个实例数据无效：端口号必须在1-65535之间", "请上传CSV格式文件"},
		"en":    {"Instances created: 2", "Instance 3 is invalid: ", "CSV"},
	} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			theme := map[string]string{"zh-CN": "light", "en": "dark"}[lang]
			a := clitest.Start(t, "--data-dir", t.TempDir())
			w := walk{browser: newBrowser(t), app: a, lang: lang, theme: theme}
			w.logIn("admin", a.Password)
			w.resize(1280, 800)
			if evaluate[bool](w.browser, `document.documentElement.scrollWidth > innerWidth`) {
				t.Error("the list is wider than the window")
			}
			w.look("toolbar")

			w.click("#import-instances")
			w.see("#modal #import-form")
			w.look("import")
			w.importFile("edge.csv", "name,db_type,host,port,description\n"+
				"edge-1,pg,db.example.com,5432,=1+1\nedge-2,mysql,::1,3306,<b>x</b>\n"+
				"bad,mysql,h,0,\ntwice,mysql,h,1,\ntwice,mysql,h,1,\n本机存储,mysql,h,1,\n")
			if text := w.text("#import-result .success"); !strings.Contains(text, want.created) {
				t.Errorf("created: got %q, want %q in it", text, want.created)
			}
			text := w.text("#import-result .error")
			if !strings.Contains(text, want.reason) || !strings.Contains(text, "twice") {
				t.Errorf("problems: got %q, want %q and twice in it", text, want.reason)
			}
			w.until(`document.querySelectorAll("#instance-list tbody tr").length == 3`)
			w.look("import-done")
			w.quiet()

			w.importFile("edge.txt", "x")
			w.until(`!document.querySelector("#import-result .success")`)
			if text := w.text("#import-result .error"); !strings.Contains(text, want.refused) {
				t.Errorf("refused: got %q, want %q in it", text, want.refused)
			}
			w.look("import-refused")
			w.quiet("400")

			w.run(`document.querySelector("#modal [data-close]").click()`)
			w.fill("#instance-search", "edge")
			w.until(`document.querySelector("input[form=instance-export][name=search]")?.value == "edge"`)
			exported := do(w.browser, "export", chromedp.Evaluate[string](
				`(f => fetch(f.action + "?" + new URLSearchParams(new FormData(f))).then(r => r.text()))(
					document.querySelector("#instance-export"))`,
				chromedp.EvalAwaitPromise))
			const row = `"edge-1","postgresql","db.example.com",5432,,"'=1+1",`
			if strings.Contains(exported, "本机存储") || !strings.Contains(exported, row) {
				t.Errorf("exported: got %q, want %q in it, without 本机存储", exported, row)
			}
			w.open(a.URL + "/instances/import")
			w.look("import-page")
			w.quiet()
		})
	}
}

// importFile writes a file with the content, uploads it and waits for the result.
func (w *walk) importFile(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	do(w.browser, "choose "+name, chromedp.SetUploadFiles("#import-form input[type=file]", []string{path}))
	w.click("#import-submit")
	w.see("#import-result .inline-result")
	w.until(`document.querySelector("#import-form input[type=file]").value == ""`)
}
