package mysql

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"whalefall/collectors"
)

// serverName tells a server from others that the same address may lead to.
type serverName struct {
	ids     string    // its host, port and ids
	started time.Time // by our clock
}

// startTolerance is how far two readings of a server's start may differ: it counts whole seconds, and answers take
// time.
const startTolerance = 5 * time.Second

// is reports whether both are the same server, not restarted.
func (n serverName) is(other serverName) bool {
	return n.ids == other.ids && n.started.Sub(other.started).Abs() <= startTolerance
}

// nameServer reads which server the session is connected to.
func (s *session) nameServer(ctx context.Context) (name serverName, err error) {
	err = s.each(ctx, statements["server_name"], func(rows *sql.Rows) error {
		var variable, value string
		if err := rows.Scan(&variable, &value); err != nil {
			return err
		}
		name.ids += strings.ToLower(variable) + "=" + value + "\n"
		return nil
	})
	if err != nil {
		return name, err
	}

	err = s.each(ctx, statements["uptime"], func(rows *sql.Rows) error {
		var seconds collectors.Number
		if err := rows.Scan(new(string), &seconds); err != nil {
			return err
		}
		name.started = time.Now().Add(-time.Duration(max(seconds, 0)) * time.Second)
		return nil
	})
	return name, err
}
