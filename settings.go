package main

import (
	"encoding"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Settings are the configuration of a process.
type Settings struct {
	Addr           string         `env:"WHALEFALL_ADDR" default:"127.0.0.1:8080" help:"Address to listen on."`
	Store          string         `env:"WHALEFALL_STORE" secret:"dsn" help:"postgres:// address or path of a SQLite file; default whalefall.db in the data directory."`
	DataDir        string         `env:"WHALEFALL_DATA_DIR" default:"./data" type:"path" help:"Directory of the embedded store and the keyset."`
	Timezone       zone           `env:"WHALEFALL_TIMEZONE" default:"Asia/Shanghai" help:"Zone in which days are counted and times are shown."`
	AdminPassword  string         `env:"WHALEFALL_ADMIN_PASSWORD" secret:"" help:"Password of the first admin; first start only."`
	Keyset         string         `env:"WHALEFALL_KEYSET" secret:"" help:"Keyset as JSON; default keyset.json in the data directory."`
	TrustedProxies []netip.Prefix `env:"WHALEFALL_TRUSTED_PROXIES" help:"Networks of proxies whose X-Forwarded-* headers count, comma separated."`
	CookieSecure   string         `env:"WHALEFALL_COOKIE_SECURE" enum:"auto,true,false" default:"auto" help:"Secure attribute of cookies: auto, true or false."`
	SqliteDirs     []string       `name:"sqlite-dirs" env:"WHALEFALL_SQLITE_DIRS" sep:":" type:"path" help:"Directories beside the data directory below which SQLite files may be monitored, colon separated."`
	LogLevel       slog.Level     `env:"WHALEFALL_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
	LogFormat      string         `env:"WHALEFALL_LOG_FORMAT" enum:"text,json" default:"text" help:"text or json."`
}

// zone is a time zone given by its name.
type zone struct{ *time.Location }

var _ encoding.TextUnmarshaler = (*zone)(nil)

// UnmarshalText accepts a name of the zone database.
func (z *zone) UnmarshalText(text []byte) error {
	location, err := time.LoadLocation(string(text))
	if err != nil || len(text) == 0 || string(text) == "Local" {
		return fmt.Errorf("%q is no time zone name such as Asia/Shanghai", text)
	}
	z.Location = location
	return nil
}

// check finds settings that parse but cannot work.
func (s *Settings) check() error {
	if _, port, err := net.SplitHostPort(s.Addr); err != nil || port == "" {
		return fmt.Errorf("WHALEFALL_ADDR %q is no host:port", s.Addr)
	}
	if strings.Contains(s.Store, "://") && !s.sharedStore() {
		return fmt.Errorf("WHALEFALL_STORE must be a postgres:// address or the path of a SQLite file")
	}
	return nil
}

// sharedStore reports whether the store is a PostgreSQL database.
func (s *Settings) sharedStore() bool {
	return strings.HasPrefix(s.Store, "postgres://") || strings.HasPrefix(s.Store, "postgresql://")
}

// storeAddress is the store as models.Open takes it.
func (s *Settings) storeAddress() string {
	if s.Store == "" {
		return filepath.Join(s.DataDir, "whalefall.db")
	}
	return s.Store
}

func (s *Settings) keysetPath() string { return filepath.Join(s.DataDir, "keyset.json") }

// secretFiles lets a secret setting be read from the file that <VARIABLE>_FILE names.
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

type configCmd struct{}

// Run prints every setting as a line VARIABLE=value.
func (configCmd) Run(s *Settings, io console) error {
	v, t := reflect.ValueOf(*s), reflect.TypeOf(*s)
	for i := range t.NumField() {
		field := t.Field(i)
		text := fmt.Sprint(v.Field(i).Interface())
		if kind, secret := field.Tag.Lookup("secret"); secret && text != "" {
			text = redact(kind, text)
		}
		if field.Name == "Store" && text == "" {
			text = s.storeAddress()
		}
		if _, err := fmt.Fprintf(io.out, "%s=%s\n", field.Tag.Get("env"), text); err != nil {
			return err
		}
	}
	return nil
}

// redact hides a secret: the password of an address, or all of anything else.
func redact(kind, text string) string {
	if kind != "dsn" {
		return "(redacted)"
	}
	if !strings.Contains(text, "://") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return "(redacted)"
	}
	u.RawQuery = ""
	return u.Redacted()
}
