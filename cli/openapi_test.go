package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"whalefall/cli/clitest"
	"whalefall/testenv"
)

func TestOpenAPI(t *testing.T) {
	status, out, errs := clitest.Run(t, "", "openapi", "--check")
	if status != 0 || out != "" || errs != "" {
		t.Errorf("check: %d %q %q", status, out, errs)
	}
	status, out, _ = clitest.Run(t, "", "openapi")
	served, err := os.ReadFile("../handlers/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if status != 0 || out != string(served) {
		t.Errorf("exit %d, %d bytes printed, %d bytes served", status, len(out), len(served))
	}
}

var (
	shellBlocks  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	newInstance  = regexp.MustCompile(`(?s)\{"name":"orders".*?\}'`)
	firstAddress = "http://127.0.0.1:8080/api/v1"
)

// TestOpenAPI_WalkThroughInDescription runs the shell commands of the document's description, from the login to the
// CSV and the deletion, with WhaleFall's own store as the instance.
func TestOpenAPI_WalkThroughInDescription(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			testenv.Missing(t, tool)
		}
	}
	a := clitest.Start(t, "--data-dir", t.TempDir())
	target, err := json.Marshal(map[string]string{
		"name": "orders", "db_type": "sqlite", "database_name": filepath.Join(a.Dir, "whalefall.db"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, document, _ := clitest.Run(t, "", "openapi")
	var parsed struct{ Info struct{ Description string } }
	if err := json.Unmarshal([]byte(document), &parsed); err != nil {
		t.Fatal(err)
	}
	script := "set -euo pipefail; cd " + a.Dir + "\n"
	blocks := shellBlocks.FindAllStringSubmatch(parsed.Info.Description, -1)
	for _, block := range blocks {
		script += block[1]
	}
	script = newInstance.ReplaceAllLiteralString(script, string(target)+"'")
	script = strings.NewReplacer(
		firstAddress, a.URL+"/api/v1",
		`"password":"…"`, `"password":"`+a.Password+`"`,
		"/databases/shop/", "/databases/main/",
	).Replace(script)
	out, err := exec.CommandContext(t.Context(), "bash", "-c", script).CombinedOutput()
	responses := string(out)
	if err != nil || len(blocks) != 2 ||
		strings.Contains(responses, `"success":false`) || strings.Count(responses, `"success":true`) < 9 {
		t.Fatalf("%v\n%s\n%s", err, script, responses)
	}
	csv, err := os.ReadFile(filepath.Join(a.Dir, "shop.csv"))
	if err != nil || !strings.Contains(string(csv), `"main","instances",`) {
		t.Errorf("%v: %.300s", err, csv)
	}
}
