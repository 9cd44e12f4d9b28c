package oracle

import (
	"database/sql/driver"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// lexeme is a literal, quoted name, comment, bind or word, the last with the schema or alias before it.
var lexeme = regexp.MustCompile(`(?s)'(?:[^']|'')*'|"[^"]*"|--[^\n]*|/\*.*?\*/|:\w+|` +
	`[A-Za-z][\w$#]*(?:\.[A-Za-z][\w$#]*)?`)

// userenv is a call of SYS_CONTEXT, whose arguments are literals.
var userenv = regexp.MustCompile(`(?i)\bSYS_CONTEXT\s*\(\s*'([^']*)'\s*,\s*'([^']*)'\s*\)`)

// translation is a statement for SQLite.
type translation struct {
	sql   string
	binds []string // in the order of their places, without colon
	views []string // that it names, with "SYS." if the statement has it
}

// translate translates a query for SQLite. Few things differ, since the statements of the product are plain.
func (c *conn) translate(query string) (translation, error) {
	var result translation
	if strings.HasSuffix(strings.TrimSpace(query), ";") {
		return result, refused(911)
	}
	var failure error
	query = userenv.ReplaceAllStringFunc(query, func(call string) string {
		arguments := userenv.FindStringSubmatch(call)
		value, err := c.context(arguments[1], arguments[2])
		if err != nil {
			failure = err
		}
		return value
	})
	result.sql = lexeme.ReplaceAllStringFunc(query, func(token string) string { return c.word(&result, token) })
	return result, failure
}

// word translates a token, and records binds and views.
func (c *conn) word(result *translation, token string) string {
	name := strings.ToUpper(token)
	switch {
	case token == "''":
		return "NULL"
	case strings.HasPrefix(token, ":"):
		result.binds = append(result.binds, token[1:])
		return "?"
	case strings.HasPrefix(token, "--"), strings.HasPrefix(token, "/*"):
		return " "
	case name == "NVL":
		return "IFNULL"
	case name == "USER":
		return literal(c.user)
	}
	if c.server.view(strings.TrimPrefix(name, "SYS.")) >= 0 {
		result.views = append(result.views, name)
	}
	return token
}

func literal(text string) string {
	if text == "" {
		return "NULL"
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// context returns the result of SYS_CONTEXT as a literal.
func (c *conn) context(namespace, parameter string) (string, error) {
	if !strings.EqualFold(namespace, "USERENV") {
		return "NULL", nil
	}
	o := c.server.options
	name := strings.ToUpper(parameter)
	if slices.Contains([]string{"CON_NAME", "CON_ID"}, name) && older(o.Version, "12.1") {
		return "NULL", refused(2003)
	}
	switch name {
	case "SESSION_USER", "CURRENT_USER":
		return literal(c.user), nil
	case "CURRENT_SCHEMA":
		return literal(c.schema), nil
	case "CON_NAME":
		if o.Container == "" {
			return literal(o.DBName), nil
		}
		return literal(o.Container), nil
	case "CON_ID":
		return literal(strconv.Itoa(c.server.containerID())), nil
	case "DB_NAME":
		return literal(o.DBName), nil
	case "SERVICE_NAME":
		return literal(o.Service), nil
	case "INSTANCE_NAME":
		return literal(o.SID), nil
	default:
		return "NULL", refused(2003)
	}
}

// allowed returns an error for the first view that the user may not read, or that has no public synonym.
func (c *conn) allowed(views []string) error {
	user := c.server.users[c.user]
	for _, named := range views {
		view, qualified := strings.CutPrefix(named, "SYS.")
		if !qualified && slices.Contains(c.server.options.NoSynonym, view) {
			return refused(942)
		}
		if code, ok := user.Denied[view]; ok {
			return denied(code, view)
		}
		if !public(view) && !user.Catalog && !slices.Contains(user.Grants, view) {
			return refused(942)
		}
	}
	return nil
}

// publicViews are readable by every user, like those that start with USER_.
var publicViews = []string{"DUAL", "V$VERSION", "PRODUCT_COMPONENT_VERSION"}

func public(view string) bool {
	return strings.HasPrefix(view, "USER_") || slices.Contains(publicViews, view)
}

// bound returns the arguments in the order of the binds: by name, ignoring case, if all have one, else by position.
func bound(binds []string, arguments []driver.NamedValue) ([]any, error) {
	named := len(arguments) > 0 && !slices.ContainsFunc(arguments, func(a driver.NamedValue) bool { return a.Name == "" })
	if !named && len(binds) != len(arguments) {
		return nil, refused(1008)
	}
	values := make([]any, len(binds))
	for i, bind := range binds {
		at := i
		if named {
			at = slices.IndexFunc(arguments, func(a driver.NamedValue) bool { return strings.EqualFold(a.Name, bind) })
		}
		if at < 0 {
			return nil, fmt.Errorf("parameter %s is not defined in parameter list", bind)
		}
		if values[i] = arguments[at].Value; values[i] == "" {
			values[i] = nil
		}
	}
	return values, nil
}
