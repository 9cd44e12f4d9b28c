package sqlserver

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/glebarez/go-sqlite"
)

// Functions of SQLite are global, but the result of DB_NAME() depends on the session. So calls are rewritten to pass
// the id of their session, by which callers holds the open ones.
var (
	lastSession atomic.Int64
	callers     sync.Map // int64 → *session
)

const rewritten = "emulated_"

// functions holds the emulated functions of T-SQL by their names in lower case.
var functions = map[string]func(c *session, arguments []driver.Value) (driver.Value, error){
	"app_name":           func(c *session, _ []driver.Value) (driver.Value, error) { return c.client.App, nil },
	"databasepropertyex": (*session).databaseProperty,
	"db_id":              (*session).databaseID,
	"db_name":            (*session).databaseName,
	"has_dbaccess":       (*session).hasAccess,
	"has_perms_by_name":  (*session).hasPermission,
	"host_name":          func(c *session, _ []driver.Value) (driver.Value, error) { return c.client.Host, nil },
	"is_srvrolemember":   (*session).isServerRoleMember,
	"original_login":     func(c *session, _ []driver.Value) (driver.Value, error) { return c.login, nil },
	"serverproperty":     (*session).serverProperty,
	"suser_name":         func(c *session, _ []driver.Value) (driver.Value, error) { return c.login, nil },
	"suser_sname":        func(c *session, _ []driver.Value) (driver.Value, error) { return c.login, nil },
}

func init() {
	for name, function := range functions {
		call := func(_ *sqlite.FunctionContext, arguments []driver.Value) (driver.Value, error) {
			caller, ok := callers.Load(arguments[0])
			if !ok {
				return nil, fmt.Errorf("no session %v", arguments[0])
			}
			return function(caller.(*session), arguments[1:])
		}
		sqlite.MustRegisterScalarFunction(rewritten+name, -1, call)
	}
}

// rewrite returns the text of the statement, with the calls of functions rewritten to pass the session.
func rewrite(text string, statement []token, session int64) string {
	var out strings.Builder
	at := statement[0].start
	for i, t := range statement {
		if i+2 >= len(statement) || t.kind != wordToken || !statement[i+1].sign("(") ||
			functions[strings.ToLower(t.text)] == nil {
			continue
		}
		out.WriteString(text[at:t.start])
		out.WriteString(rewritten + strings.ToLower(t.text) + "(" + strconv.FormatInt(session, 10))
		if !statement[i+2].sign(")") {
			out.WriteString(", ")
		}
		at = statement[i+1].end
	}
	out.WriteString(text[at:statement[len(statement)-1].end])
	return out.String()
}

// argument returns an argument as text; empty if it is NULL or missing.
func argument(arguments []driver.Value, i int) string {
	if i >= len(arguments) || arguments[i] == nil {
		return ""
	}
	return fmt.Sprint(arguments[i])
}

// find returns a database by name; the current one for an empty name.
func (c *session) find(name string) *Database { return c.server.database(cmp.Or(name, c.database)) }

func (c *session) databaseName(arguments []driver.Value) (driver.Value, error) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if len(arguments) == 0 {
		return c.database, nil
	}
	for _, d := range c.server.databases {
		if d.id == arguments[0] {
			return d.Name, nil
		}
	}
	return null()
}

func (c *session) databaseID(arguments []driver.Value) (driver.Value, error) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if d := c.find(argument(arguments, 0)); d != nil {
		return d.id, nil
	}
	return null()
}

// hasAccess implements HAS_DBACCESS. Its page names states and single-user mode as reasons for 0, not availability
// groups.
func (c *session) hasAccess(arguments []driver.Value) (driver.Value, error) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	d := c.server.database(argument(arguments, 0))
	if d == nil {
		return null()
	}
	login, _ := c.server.login(c.login)
	closed := states[d.state()].use != 0 || d.SingleUser || (d.state() == "EMERGENCY" && !login.Sysadmin)
	return truth(!closed && c.server.mayEnter(login, d)), nil
}

// null returns NULL.
func null() (driver.Value, error) { return nil, nil } //nolint:nilnil // NULL is a value

func truth(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

// hasPermission implements HAS_PERMS_BY_NAME for the server and for databases.
func (c *session) hasPermission(arguments []driver.Value) (driver.Value, error) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	login, _ := c.server.login(c.login)
	permission := strings.ToUpper(argument(arguments, 2))
	switch class := strings.ToUpper(argument(arguments, 1)); {
	case permission == "":
		return null()
	case class == "" && permission == "VIEW ANY DATABASE" && !c.server.azure(): // public has it
		return truth(login.Sysadmin || !login.OwnDatabases), nil
	case class == "" && !c.server.azure():
		return truth(login.onServer(permission)), nil
	case class == "DATABASE":
		d := c.find(argument(arguments, 0))
		if d == nil {
			return null()
		}
		return truth(c.server.mayEnter(login, d) && login.in(d.Name, permission)), nil
	default:
		return null()
	}
}

func (c *session) isServerRoleMember(arguments []driver.Value) (driver.Value, error) {
	login, _, _ := c.current()
	switch strings.ToLower(argument(arguments, 0)) {
	case "public":
		return int64(1), nil
	case "sysadmin", "serveradmin", "setupadmin", "securityadmin", "processadmin", "dbcreator", "diskadmin", "bulkadmin":
		return truth(login.Sysadmin), nil
	default:
		return null()
	}
}

func (c *session) serverProperty(arguments []driver.Value) (driver.Value, error) {
	options := c.server.options
	edition := "Enterprise Edition (64-bit)"
	if c.server.azure() {
		edition = "SQL Azure"
	}
	name := strings.ToLower(argument(arguments, 0))
	if value, ok := options.Properties[name]; ok {
		return value, nil
	}
	switch name {
	case "productversion":
		return options.Version, nil
	case "productmajorversion":
		return strconv.Itoa(c.server.major()), nil
	case "productlevel":
		return "RTM", nil
	case "edition":
		return cmp.Or(options.Edition, edition), nil
	case "engineedition":
		return int64(options.EngineEdition), nil
	case "servername", "machinename":
		return serverName, nil
	case "collation":
		return serverCollation, nil
	case "ishadrenabled", "isclustered":
		return int64(0), nil
	default:
		return null()
	}
}

func (c *session) databaseProperty(arguments []driver.Value) (driver.Value, error) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	d := c.server.database(argument(arguments, 0))
	if d == nil {
		return null()
	}
	switch strings.ToLower(argument(arguments, 1)) {
	case "status":
		return d.state(), nil
	case "collation":
		return serverCollation, nil
	default:
		return null()
	}
}
