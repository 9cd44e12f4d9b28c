package cli

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"whalefall/collectors/jobs"
	"whalefall/models"
)

// Settings are the configuration of a process. Each field is a flag, a variable, a row of the READMEs' tables and a
// line of `whalefall config`, which tests compare.
type Settings struct {
	Addr            string         `env:"WHALEFALL_ADDR" default:"127.0.0.1:8080" help:"Address to listen on."`
	Store           string         `env:"WHALEFALL_STORE" secret:"dsn" help:"postgres:// address or path of a SQLite file; default whalefall.db in the data directory."`
	DataDir         string         `env:"WHALEFALL_DATA_DIR" default:"./data" type:"path" help:"Directory of the embedded store and the keyset."`
	Timezone        zone           `env:"WHALEFALL_TIMEZONE" default:"Asia/Shanghai" help:"Time zone in which days are counted and times are shown."`
	AdminPassword   string         `env:"WHALEFALL_ADMIN_PASSWORD" secret:"" help:"Password of the first admin; first start only."`
	Keyset          string         `env:"WHALEFALL_KEYSET" secret:"" help:"Keyset as JSON; default keyset.json in the data directory."`
	TrustedProxies  []netip.Prefix `env:"WHALEFALL_TRUSTED_PROXIES" help:"Networks of proxies whose X-Forwarded-* headers are trusted, comma separated."`
	CookieSecure    string         `env:"WHALEFALL_COOKIE_SECURE" enum:"auto,true,false" default:"auto" help:"Secure attribute of cookies: auto, true or false."`
	SqliteDirs      []string       `name:"sqlite-dirs" env:"WHALEFALL_SQLITE_DIRS" sep:":" type:"path" help:"Directories, in addition to the data directory, whose SQLite files may be monitored, colon separated."`
	WalletDirs      []string       `name:"wallet-dirs" env:"WHALEFALL_WALLET_DIRS" sep:":" type:"path" help:"Directories, in addition to wallets in the data directory, that may contain Oracle wallets, colon separated."`
	SessionIdle     time.Duration  `name:"session-idle" env:"WHALEFALL_SESSION_IDLE" default:"12h" help:"A login ends this long after its last request, at least 5m."`
	SessionLifetime time.Duration  `name:"session-lifetime" env:"WHALEFALL_SESSION_LIFETIME" default:"168h" help:"A login ends this long after it was made, at least WHALEFALL_SESSION_IDLE."`
	MetricsToken    string         `env:"WHALEFALL_METRICS_TOKEN" secret:"" help:"Bearer token for /metrics; without it /metrics is closed."`
	RateToken       int            `name:"rate-token" env:"WHALEFALL_RATE_TOKEN" default:"6000" help:"API requests per minute and API token; 0: unlimited."`
	RateAddress     int            `name:"rate-address" env:"WHALEFALL_RATE_ADDRESS" default:"60000" help:"API requests per minute and address without a token; 0: unlimited."`
	APILanguage     string         `name:"api-language" env:"WHALEFALL_API_LANGUAGE" enum:"zh-CN,en" default:"zh-CN" help:"Language of the API's answers to clients that ask for none: zh-CN or en."`
	Schedule        string         `env:"WHALEFALL_SCHEDULE" default:"0 2 * * *" help:"When instances without a schedule of their own are collected: a cron expression of five fields, in WHALEFALL_TIMEZONE."`
	ScheduleJitter  time.Duration  `name:"schedule-jitter" env:"WHALEFALL_SCHEDULE_JITTER" default:"60m" help:"Time over which these collections are spread, at most 24h."`
	PauseAfter      int64          `name:"pause-after" env:"WHALEFALL_PAUSE_AFTER" default:"5" help:"Consecutive failures of scheduled collections after which an instance is paused; 0: never."`
	Parallel        int            `env:"WHALEFALL_PARALLEL" default:"8" help:"Instances that one process collects at a time."`
	RunsDays        int            `name:"runs-days" env:"WHALEFALL_RUNS_DAYS" default:"400" help:"Days to keep records of collections; the newest of each database stay. 0: forever."`
	AuditDays       int            `name:"audit-days" env:"WHALEFALL_AUDIT_DAYS" default:"400" help:"Days to keep the audit log. 0: forever."`
	HistoryDays     int            `name:"history-days" env:"WHALEFALL_HISTORY_DAYS" default:"400" help:"Days to keep the daily sizes of tables, databases and instances, at least 31; the newest of each database and instance stay."`
	LogLevel        slog.Level     `env:"WHALEFALL_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
	LogFormat       string         `env:"WHALEFALL_LOG_FORMAT" enum:"text,json" default:"text" help:"text or json."`
}

// minSessionIdle is the shortest WHALEFALL_SESSION_IDLE: time to read a page, as the time of the last request is stored
// to the minute.
const minSessionIdle = 5 * time.Minute

// zone is a time zone that is set by its name.
type zone struct{ *time.Location }

var _ encoding.TextUnmarshaler = (*zone)(nil)

// UnmarshalText accepts a name of the zone database, but not Local.
func (z *zone) UnmarshalText(text []byte) error {
	location, err := time.LoadLocation(string(text))
	if err != nil || len(text) == 0 || string(text) == "Local" {
		return fmt.Errorf("%q is not a time zone name such as Asia/Shanghai", text)
	}
	z.Location = location
	return nil
}

// check returns an error for settings that parse but cannot work.
func (s *Settings) check() error {
	if _, port, err := net.SplitHostPort(s.Addr); err != nil || port == "" {
		return fmt.Errorf("WHALEFALL_ADDR %q is not a host:port", s.Addr)
	}
	if s.SessionIdle < minSessionIdle || s.SessionLifetime < s.SessionIdle {
		return errors.New("WHALEFALL_SESSION_IDLE must be at least 5m, and WHALEFALL_SESSION_LIFETIME at least as long")
	}
	if s.RateToken < 0 || s.RateAddress < 0 {
		return errors.New("WHALEFALL_RATE_TOKEN and WHALEFALL_RATE_ADDRESS must be 0 or more")
	}
	if s.RunsDays < 0 || s.AuditDays < 0 {
		return errors.New("WHALEFALL_RUNS_DAYS and WHALEFALL_AUDIT_DAYS must be 0 or more")
	}
	if err := s.schedule().Check(); err != nil || s.PauseAfter < 0 {
		return errors.New("WHALEFALL_SCHEDULE must be a cron expression such as 0 2 * * * " +
			"that fires at most every 5 minutes, " +
			"WHALEFALL_SCHEDULE_JITTER a duration up to 24h, and WHALEFALL_PAUSE_AFTER 0 or more")
	}
	if s.Parallel < 1 || s.Parallel > jobs.MaxParallel {
		return fmt.Errorf("WHALEFALL_PARALLEL must be a number from 1 to %d", jobs.MaxParallel)
	}
	if s.HistoryDays < models.MinHistoryDays {
		return fmt.Errorf("WHALEFALL_HISTORY_DAYS must be at least %d", models.MinHistoryDays)
	}
	return s.checkStore()
}

// schedule returns the schedule of instances that have none of their own.
func (s *Settings) schedule() models.ScheduleDefaults {
	return models.ScheduleDefaults{Cron: s.Schedule, Jitter: s.ScheduleJitter, PauseAfter: s.PauseAfter}
}

// keywords matches the beginning of a PostgreSQL connection string in keyword=value form.
var keywords = regexp.MustCompile(`^\s*\w+\s*=`)

// checkStore returns an error for a store that is neither an address nor a path. The error does not repeat the value,
// which may contain a password.
func (s *Settings) checkStore() error {
	if s.sharedStore() {
		_, err := parseAddress(s.Store)
		return err
	}
	if strings.Contains(s.Store, "://") || keywords.MatchString(s.Store) {
		return errors.New("WHALEFALL_STORE must be a postgres:// address or the path of a SQLite file")
	}
	return nil
}

// parseAddress parses a postgres:// address. It rejects one with an @ after the host, as a password with special
// characters that are not percent-encoded looks like that.
func parseAddress(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return nil, errors.New("WHALEFALL_STORE is not an address; " +
			"special characters of a password must be percent-encoded, such as / by %2F")
	}
	return u, nil
}

// sharedStore reports whether the store is a PostgreSQL database.
func (s *Settings) sharedStore() bool {
	return strings.HasPrefix(s.Store, "postgres://") || strings.HasPrefix(s.Store, "postgresql://")
}

// storeAddress returns the address or path for models.Open.
func (s *Settings) storeAddress() string {
	if s.Store == "" {
		return filepath.Join(s.DataDir, "whalefall.db")
	}
	return s.Store
}

// keysetPath returns the path of the keyset in the data directory.
func (s *Settings) keysetPath() string { return filepath.Join(s.DataDir, "keyset.json") }

// secretFiles returns a resolver that reads a secret from the file that <VARIABLE>_FILE names.
func secretFiles() kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if !flag.Tag.Has("secret") || len(flag.Envs) == 0 || os.Getenv(flag.Envs[0]) != "" {
			return nil, nil
		}
		path := os.Getenv(flag.Envs[0] + "_FILE")
		if path == "" {
			return nil, nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s_FILE: %w", flag.Envs[0], err)
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	})
}
