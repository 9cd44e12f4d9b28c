package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"whalefall/cli/clitest"
)

func TestConfigRedactsSecrets(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("Hunter22Hunter22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WHALEFALL_ADMIN_PASSWORD_FILE", secret)
	t.Setenv("WHALEFALL_STORE", "postgres://me:s3cret@127.0.0.1/whalefall?sslpassword=other")
	status, out, errs := clitest.Run(t, "", "config")
	if status != 0 {
		t.Fatal(errs)
	}
	for _, hidden := range []string{"Hunter22", "s3cret", "other"} {
		if strings.Contains(out, hidden) {
			t.Errorf("%s in %s", hidden, out)
		}
	}
	for _, want := range []string{
		"WHALEFALL_ADMIN_PASSWORD=(redacted)", "WHALEFALL_STORE=postgres://me:xxxxx@127.0.0.1/whalefall",
		"WHALEFALL_TIMEZONE=Asia/Shanghai", "WHALEFALL_ADDR=127.0.0.1:8080",
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}
