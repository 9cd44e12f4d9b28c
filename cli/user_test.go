package cli_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"whalefall/cli/clitest"
	"whalefall/models"
)

func TestUser(t *testing.T) {
	dir := t.TempDir()
	status, _, errs := clitest.Run(t, "Correct1Horse\n", "user", "add", "alice", "--role=guest", "--data-dir", dir)
	if status != 0 {
		t.Fatalf("add: got status %d, want 0: %s", status, errs)
	}
	status, _, errs = clitest.Run(t, "short\n", "user", "reset", "alice", "--data-dir", dir)
	if status != 1 || errs == "" {
		t.Errorf("reset to a weak password: got status %d and errors %q, want 1 and some", status, errs)
	}
	status, out, _ := clitest.Run(t, "", "user", "list", "--data-dir", dir)
	if status != 0 || out != "alice\tguest\tactive=true\n" {
		t.Errorf("status %d, %q", status, out)
	}
}

func TestUser_MustChangePassword(t *testing.T) {
	a := clitest.Start(t, "--data-dir", t.TempDir())
	for _, c := range []struct{ flag, page string }{
		{"--must-change-password=true", "/account"},
		{"--must-change-password=false", "/instances"},
	} {
		a.Password = "Another1Horse"
		status, _, errs := clitest.Run(t, a.Password+"\n", "user", "reset", "admin", c.flag, "--data-dir", a.Dir)
		if status != 0 {
			t.Fatalf("%s: got status %d, want 0: %s", c.flag, status, errs)
		}
		if _, page := a.SubmitLogin(t); page.Path != c.page {
			t.Errorf("%s: the login led to %s, want %s", c.flag, page, c.page)
		}
	}
}

func TestUser_AuditLog(t *testing.T) {
	a := clitest.Start(t, "--data-dir", t.TempDir())
	for _, c := range []struct {
		password string
		args     []string
		status   int
	}{
		{"Correct1Horse\n", []string{"user", "add", "looker"}, 0},
		{"Correct1Horse\n", []string{"user", "add", "looker"}, 1},
		{"Another1Horse\n", []string{"user", "reset", "looker"}, 0},
	} {
		if status, _, errs := clitest.Run(t, c.password, append(c.args, "--data-dir", a.Dir)...); status != c.status {
			t.Fatalf("%v: %d %s", c.args, status, errs)
		}
	}
	resp, err := a.LogIn(t).Get(a.URL + "/audit?username=" + url.QueryEscape(models.CommandLine))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	doc, err := goquery.NewDocumentFromReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	rows := doc.Find("#audit-list tbody tr").Map(func(_ int, row *goquery.Selection) string {
		cells := row.Find("td").Map(func(_ int, cell *goquery.Selection) string {
			return strings.Join(strings.Fields(cell.Text()), " ")
		})
		return strings.Join(cells[1:], "|")
	})
	want := []string{
		"命令行|编辑用户|looker #2|成功|—",
		"命令行|添加用户|looker|失败 USERNAME_EXISTS|—",
		"命令行|添加用户|looker #2|成功|—",
	}
	if !slices.Equal(rows, want) {
		t.Errorf("got %q\nwant %q", rows, want)
	}
}
