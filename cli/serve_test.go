package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"whalefall/cli/clitest"
)

func TestServe_FirstStart(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := filepath.Join(t.TempDir(), "data dir")
	first := clitest.Start(t, "--data-dir", dir, clitest.PrintPassword)
	if first.Password == "" {
		t.Fatalf("no password in %q", first.Output.String())
	}
	for path, mode := range map[string]os.FileMode{"keyset.json": 0o600, "whalefall.db": 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), mode)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/login"} {
		resp, err := http.Get(first.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if client, page := first.SubmitLogin(t); page.Path != "/account" {
		t.Errorf("the login with the printed password led to %s, want /account", page)
	} else {
		client.CloseIdleConnections() // goleak looks before the cleanup
	}
	if status := first.Stop(); status != 0 {
		t.Errorf("exit status %d: %s", status, first.Output.String())
	}
	second := clitest.Start(t, "--data-dir", dir, clitest.PrintPassword)
	if second.Password != "" || strings.Contains(second.Output.String(), first.Password) {
		t.Errorf("the password was printed again: %s", second.Output.String())
	}
	if status := second.Stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestServe_WrongKeyset(t *testing.T) {
	dir := t.TempDir()
	clitest.Start(t, "--data-dir", dir).Stop()
	if err := os.Remove(filepath.Join(dir, "keyset.json")); err != nil {
		t.Fatal(err)
	}
	status, _, errs := clitest.Run(t, "", "--addr=127.0.0.1:0", "--data-dir", dir)
	if status != 1 || !strings.Contains(errs, "keyset") || strings.Count(errs, "\n") != 1 {
		t.Errorf("status %d, %q", status, errs)
	}
}
