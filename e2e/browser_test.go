package e2e

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"whalefall/testenv"
)

// axe is the accessibility checker, run in every page that the tests look at.
//
//go:embed testdata/axe-4.14.1/axe.min.js
var axe string

// patience is how long a condition may take to come true, on a machine that is busy with other tests.
const patience = 90 * time.Second

// retryInterval is how often a condition is looked at again. chromedp's own, 5 ms, keeps a small machine busy.
const retryInterval = 30 * time.Millisecond

// windows has room for the browsers that run at a time. More of them would make every walk slower than its waits allow.
var windows = make(chan struct{}, 2)

// holdToasts keeps toasts of success on the page, which a busy machine might otherwise miss; window.toastsExpire lets them go.
const holdToasts = `{
	const set = window.setTimeout;
	window.setTimeout = (work, ms, ...args) => set(work, ms === 7000 && !window.toastsExpire ? 1e9 : ms, ...args);
}`

// eventually waits for the condition, and fails the test when it does not come true within limit.
func eventually(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	if !within(t, limit, condition) {
		t.Fatalf("%s: not within %v", what, limit)
	}
}

// within reports whether the condition comes true within limit.
func within(t *testing.T, limit time.Duration, condition func() bool) bool {
	t.Helper()
	tick := time.NewTicker(retryInterval)
	defer tick.Stop()
	end := time.After(limit)
	for !condition() {
		select {
		case <-tick.C:
		case <-end:
			return false
		case <-t.Context().Done():
			return false
		}
	}
	return true
}

// browser is one person's browser window.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the console complained about
}

// newBrowser opens a window without cookies.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	windows <- struct{}{}
	t.Cleanup(func() { <-windows })
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1440, 900),
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true),
	)
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	messages, listened := chromedp.Console(ctx), make(chan struct{})
	go func() {
		defer close(listened)
		for m, err := range messages {
			if err != nil {
				return
			}
			b.listen(m)
		}
	}()
	t.Cleanup(func() { cancel(); cancelAlloc(); <-listened })
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: holdToasts}); err != nil {
		t.Fatal(err)
	}
	return b
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	testenv.Missing(t, "chromium")
	return ""
}

func (b *browser) listen(m chromedp.ConsoleMessage) {
	if m.Type != "error" && m.Type != "warning" && m.Source != "security" && !m.IsException() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, fmt.Sprintf("%s %s %s %s", m.Type, m.Source, m.Text, m.URL))
}

// quiet fails when the console complained about anything but the expected texts since it was asked last.
func (b *browser) quiet(expected ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, problem := range b.problems {
		known := false
		for _, e := range expected {
			known = known || strings.Contains(problem, e)
		}
		if !known {
			b.t.Errorf("the browser says %s", problem)
		}
	}
	b.problems = nil
}

// do runs one step and fails the test, with a picture, when it does not end in time.
func do[T any](b *browser, what string, step chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, step)
	if err != nil {
		if picture, shot := chromedp.Run(b.ctx, chromedp.CaptureScreenshot()); shot == nil {
			b.keep("failed", picture)
		}
		b.t.Fatalf("%s: %v", what, err)
	}
	return result
}

// open goes to a page. A modal that closes takes a step back in the history, and one still under way aborts the
// navigation that comes after it: that one is begun once more.
func (b *browser) open(address string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Navigate(address))
	if failed, ok := errors.AsType[*chromedp.LoadError](err); ok && failed.ErrorText == "net::ERR_ABORTED" {
		do(b, "open once more "+address, chromedp.Navigate(address))
	} else if err != nil {
		b.keep("failed", do(b, "picture", chromedp.CaptureScreenshot()))
		b.t.Fatalf("open %s: %v", address, err)
	}
	b.see("main")
}

func (b *browser) see(selector string) {
	b.t.Helper()
	do(b, "see "+selector, chromedp.WaitVisible(selector, chromedp.RetryInterval(retryInterval)))
}

func (b *browser) gone(selector string) {
	b.t.Helper()
	do(b, "no more "+selector, chromedp.WaitNotPresent(selector, chromedp.RetryInterval(retryInterval)))
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.see(selector)
	do(b, "click "+selector, chromedp.Click(selector))
}

func (b *browser) fill(selector, text string) {
	b.t.Helper()
	b.see(selector)
	b.run(fmt.Sprintf(`document.querySelector(%q).select()`, selector)) // what is typed replaces what is there
	do(b, "fill "+selector, chromedp.SendKeys(selector, text))
}

// choose picks an option and tells the page, as a person's choice would.
func (b *browser) choose(selector, value string) {
	b.t.Helper()
	b.see(selector)
	b.run(fmt.Sprintf(`{const e = document.querySelector(%q); e.value = %q; e.dispatchEvent(new Event("change", {bubbles: true}))}`, selector, value))
}

func (b *browser) press(keys string) {
	b.t.Helper()
	do(b, "press "+keys, chromedp.KeyEvent(keys))
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	b.see(selector)
	return strings.TrimSpace(do(b, "read "+selector, chromedp.Text(selector)))
}

func (b *browser) run(script string) {
	b.t.Helper()
	do(b, script, chromedp.Evaluate[chromedp.Void](script))
}

// ask is what script gives.
func ask[T any](b *browser, script string) T {
	b.t.Helper()
	return do(b, script, chromedp.Evaluate[T](script))
}

// until waits for the script to become true, across navigations.
func (b *browser) until(script string) {
	b.t.Helper()
	var err error
	if !within(b.t, patience, func() (reached bool) {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		defer cancel()
		reached, err = chromedp.Run(ctx, chromedp.Evaluate[bool](script))
		return err == nil && reached
	}) {
		b.keep("failed", do(b, "picture", chromedp.CaptureScreenshot()))
		b.t.Fatalf("never true: %s (%v)", script, err)
	}
}

// address is the path and query in the address bar.
func (b *browser) address() string {
	b.t.Helper()
	return ask[string](b, `location.pathname + location.search`)
}

// look keeps a picture of the window and fails on anything serious that axe finds in it.
func (b *browser) look(name string) {
	b.t.Helper()
	do(b, "settle", chromedp.Evaluate[chromedp.Void](
		`Promise.allSettled(document.getAnimations().filter(a => a.effect.getTiming().iterations < Infinity).map(a => a.finished)).then(() => {})`,
		chromedp.EvalAwaitPromise))
	b.keep(name, do(b, "picture", chromedp.CaptureScreenshot()))
	b.accessible(name)
}

func (b *browser) keep(name string, picture []byte) {
	b.t.Helper()
	path := filepath.Join(b.t.ArtifactDir(), name+".png")
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// resize makes the window as large as given, in CSS pixels.
func (b *browser) resize(width, height int64) {
	b.t.Helper()
	do(b, "resize", chromedp.EmulateViewport(width, height))
}

// accessible fails on every serious or critical finding of axe in the page as it is.
func (b *browser) accessible(where string) {
	b.t.Helper()
	b.run(axe + ";undefined")
	findings := do(b, "axe", chromedp.Evaluate[[]struct {
		ID     string `json:"id"`
		Impact string `json:"impact"`
		Nodes  []struct {
			HTML           string `json:"html"`
			FailureSummary string `json:"failureSummary"`
		} `json:"nodes"`
	}](`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.parse(JSON.stringify(
		r.violations.filter(v => v.impact == "serious" || v.impact == "critical"))))`, chromedp.EvalAwaitPromise))
	for _, f := range findings {
		for _, n := range f.Nodes {
			b.t.Errorf("%s: axe finds %s %s in %s: %s", where, f.Impact, f.ID, n.HTML, n.FailureSummary)
		}
	}
}
