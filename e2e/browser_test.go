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

// axe is the accessibility checker that look runs in a page.
//
//go:embed testdata/axe-4.14.1/axe.min.js
var axe string

// patience is how long a condition may take to become true on a machine that is busy with other tests.
const patience = 90 * time.Second

// retryInterval is how often a condition is checked. chromedp's default of 5 ms keeps a small machine busy.
const retryInterval = 30 * time.Millisecond

// windows limits how many browsers run at a time. With more of them, walks become slower than their waits allow.
var windows = make(chan struct{}, 2)

// holdToasts keeps success toasts on the page, where a slow walk would miss them otherwise. window.toastsExpire lets
// new ones expire.
const holdToasts = `{
	const set = window.setTimeout;
	window.setTimeout = (work, ms, ...args) => set(work, ms === 7000 && !window.toastsExpire ? 1e9 : ms, ...args);
}`

// eventually waits until the condition is true, and ends the test if it is not within limit.
func eventually(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	if !within(t, limit, condition) {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

// within reports whether the condition becomes true within limit.
func within(t *testing.T, limit time.Duration, condition func() bool) bool {
	t.Helper()
	tick := time.NewTicker(retryInterval)
	defer tick.Stop()
	end := time.After(limit)
	for !condition() {
		select {
		case <-tick.C:
		case <-end:
			return condition() // the last check may have begun long before the end
		case <-t.Context().Done():
			return false
		}
	}
	return true
}

// browser is a browser window with cookies of its own.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // errors and warnings of the console since the last call of quiet
}

// newBrowser opens a window without cookies, after waiting for one of the windows to be free.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	windows <- struct{}{}
	t.Cleanup(func() { <-windows })
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1440, 900),
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true),
		// Animations take time, and axe would judge the colors of one that has begun.
		chromedp.Flag("force-prefers-reduced-motion", true),
	)
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
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
	script := page.AddScriptToEvaluateOnNewDocumentParams{Source: holdToasts}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, script); err != nil {
		t.Fatal(err)
	}
	return b
}

// chromium returns the path of an installed browser, of those that test.sh accepts.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell", "chrome",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	testenv.Missing(t, "chromium")
	return ""
}

// listen records a message of the console unless it is harmless.
func (b *browser) listen(m chromedp.ConsoleMessage) {
	if m.Type != "error" && m.Type != "warning" && m.Source != "security" && !m.IsException() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, fmt.Sprintf("%s %s %s %s", m.Type, m.Source, m.Text, m.URL))
}

// quiet fails for each console problem since its last call that contains none of the expected texts.
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
			b.t.Errorf("browser console: %s", problem)
		}
	}
	b.problems = nil
}

// do runs one step and returns its result. It ends the test, with a screenshot, if the step fails or takes too long.
func do[T any](b *browser, what string, step chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, step)
	if err != nil {
		b.fail("%s: %v", what, err)
	}
	return result
}

// fail saves a screenshot, if the browser still answers, and ends the test.
func (b *browser) fail(format string, args ...any) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
		b.save("failed", picture)
	}
	b.t.Fatalf(format, args...)
}

// open navigates to a page. A modal that closes goes back in the history, and if that is still pending, it aborts our
// navigation, which is then repeated once.
func (b *browser) open(address string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Navigate(address))
	if failed, ok := errors.AsType[*chromedp.LoadError](err); ok && failed.ErrorText == "net::ERR_ABORTED" {
		do(b, "open again "+address, chromedp.Navigate(address))
	} else if err != nil {
		b.fail("open %s: %v", address, err)
	}
	b.see("body main") // "main" alone would also find the text, as of a database's name
}

// see waits until an element that matches the selector is visible.
func (b *browser) see(selector string) {
	b.t.Helper()
	do(b, "see "+selector, chromedp.WaitVisible(selector, chromedp.RetryInterval(retryInterval)))
}

// gone waits until no element matches the selector.
func (b *browser) gone(selector string) {
	b.t.Helper()
	do(b, "gone "+selector, chromedp.WaitNotPresent(selector, chromedp.RetryInterval(retryInterval)))
}

// click waits for the element and clicks it.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.see(selector)
	do(b, "click "+selector, chromedp.Click(selector))
}

// fill waits for the field and replaces its text by typing.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	b.see(selector)
	b.run(fmt.Sprintf(`document.querySelector(%q).select()`, selector))
	do(b, "fill "+selector, chromedp.SendKeys(selector, text))
}

// choose sets the value of a field and sends its change event, as a user's choice would.
func (b *browser) choose(selector, value string) {
	b.t.Helper()
	b.see(selector)
	b.run(fmt.Sprintf(`{
		const e = document.querySelector(%q);
		e.value = %q;
		e.dispatchEvent(new Event("change", {bubbles: true}));
	}`, selector, value))
}

// press sends keys to the element that has the focus.
func (b *browser) press(keys string) {
	b.t.Helper()
	do(b, "press "+keys, chromedp.KeyEvent(keys))
}

// text waits for the element and returns its text, trimmed.
func (b *browser) text(selector string) string {
	b.t.Helper()
	b.see(selector)
	return strings.TrimSpace(do(b, "read "+selector, chromedp.Text(selector)))
}

// run runs a script and ignores its value.
func (b *browser) run(script string) {
	b.t.Helper()
	do(b, script, chromedp.Evaluate[chromedp.Void](script))
}

// evaluate returns the value of a script.
func evaluate[T any](b *browser, script string) T {
	b.t.Helper()
	return do(b, script, chromedp.Evaluate[T](script))
}

// until waits until the script is true, across navigations.
func (b *browser) until(script string) {
	b.t.Helper()
	var err error
	if !within(b.t, patience, func() (reached bool) {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		defer cancel()
		reached, err = chromedp.Run(ctx, chromedp.Evaluate[bool](script))
		return err == nil && reached
	}) {
		b.fail("not true within %v: %s (last error: %v)", patience, script, err)
	}
}

// address returns the path and query of the address bar.
func (b *browser) address() string {
	b.t.Helper()
	return evaluate[string](b, `location.pathname + location.search`)
}

// overflows reports whether the element's content is wider than the element.
func (b *browser) overflows(selector string) bool {
	b.t.Helper()
	return evaluate[bool](b, fmt.Sprintf(`(e => e.scrollWidth > e.clientWidth)(document.querySelector(%q))`, selector))
}

// look saves a screenshot and fails for every serious problem that axe finds in the page.
func (b *browser) look(name string) {
	b.t.Helper()
	do(b, "settle", chromedp.Evaluate[chromedp.Void](
		`Promise.allSettled(document.getAnimations()
			.filter(a => a.effect.getTiming().iterations < Infinity)
			.map(a => a.finished)).then(() => {})`,
		chromedp.EvalAwaitPromise))
	b.save(name, do(b, "take a screenshot", chromedp.CaptureScreenshot()))
	b.accessible(name)
}

// save writes a screenshot to the test's artifacts.
func (b *browser) save(name string, picture []byte) {
	b.t.Helper()
	path := filepath.Join(b.t.ArtifactDir(), name+".png")
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// resize sets the size of the window in CSS pixels.
func (b *browser) resize(width, height int64) {
	b.t.Helper()
	do(b, "resize", chromedp.EmulateViewport(width, height))
}

// accessible fails for every serious or critical problem that axe finds in the current page.
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
