//go:build bench

package bench

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/glebarez/sqlite"
	"github.com/labstack/echo/v4"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"whalefall/testenv"
)

// The test program runs itself as the bare server if bareVariable holds the address to listen on.
const bareVariable, bareStoreVariable = "BENCH_BARE", "BENCH_BARE_STORE"

func (bareDatabase) TableName() string { return "instance_databases" }

const bareRows = "database_table_size_stats"

// serveBare serves the page of a database's tables as a straightforward program would: without logins, languages or
// filters.
func serveBare(address, store string) error {
	dialector := sqlite.Open(store + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(30000)")
	if strings.HasPrefix(store, "postgres://") {
		dialector = postgres.Open(store)
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return err
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/databases/:name/tables", func(c echo.Context) error {
		tx := db.WithContext(c.Request().Context())
		var database bareDatabase
		if err := tx.First(&database, "name = ?", c.Param("name")).Error; err != nil {
			return err
		}
		var rows []bareTable
		err := tx.Table(bareRows).Where("database_id = ?", database.ID).
			Order("size_bytes DESC NULLS LAST, schema_name, table_name").Limit(50).Find(&rows).Error
		if err != nil {
			return err
		}
		c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
		return barePage(database, rows).Render(c.Request().Context(), c.Response())
	})
	return e.Start(address)
}

// bareServer is the test program, running as the bare server.
type bareServer struct {
	base   string
	pid    int
	client *http.Client
}

func startBare(t *testing.T, store string) *bareServer {
	t.Helper()
	address := "127.0.0.1:" + strconv.Itoa(testenv.FreePort(t))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), bareVariable+"="+address, bareStoreVariable+"="+store)
	cmd.Stderr = os.Stderr
	b := &bareServer{base: "http://" + address, pid: testenv.StartProcess(t, cmd).PID(), client: &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{DisableCompression: true},
	}}
	testenv.WaitFor(t, "the bare server to be ready", func() bool {
		response, err := b.client.Get(b.base + barePath(0))
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil
	})
	return b
}

func barePath(database int) string {
	return fmt.Sprintf("/databases/%s/tables", databaseName(database))
}
