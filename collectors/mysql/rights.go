package mysql

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"strings"
)

// accountRights is what an account's grants prove: a table or schema the account has no privilege on is not listed, and
// nothing says so.
type accountRights struct {
	schemas bool // sees every schema
	tables  bool // sees every table, but where revoked says otherwise
	revoked bool // some privilege is taken back for some schema (MySQL 8 partial revokes)
	literal bool // patterns are names
	single  []schemaRight
}

// schemaRight is a privilege line for the schemas that match a pattern.
type schemaRight struct {
	pattern string
	tables  bool // sees every table there
	revoke  bool
}

var (
	// Privileges are words in capitals. A name in quotes cannot pass for them, nor for "*.*".
	globalGrant = regexp.MustCompile(`^GRANT ([A-Z_, ]+) ON \*\.\* TO `)
	schemaGrant = regexp.MustCompile("^(GRANT|REVOKE) ([A-Z_, ]+) ON `((?:[^`]|``)*)`\\.\\* (?:TO|FROM) ")
)

// tablePrivileges are those that make a table visible in information_schema.tables.
var tablePrivileges = []string{
	"ALL", "ALL PRIVILEGES", "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER",
	"CREATE VIEW", "SHOW VIEW", "TRIGGER", "DELETE HISTORY", "DELETE VERSIONING ROWS",
}

// parseMySQLRights reads the lines of SHOW GRANTS; literal says that "%" and "_" are letters in them.
func parseRights(grants []string, literal bool) accountRights {
	rights := accountRights{literal: literal}
	for _, line := range grants {
		if m := globalGrant.FindStringSubmatch(line); m != nil {
			tables := showsTables(m[1])
			rights.tables = rights.tables || tables
			rights.schemas = rights.schemas || tables || slices.Contains(strings.Split(m[1], ", "), "SHOW DATABASES")
		} else if m := schemaGrant.FindStringSubmatch(line); m != nil {
			revoke := m[1] == "REVOKE"
			rights.revoked = rights.revoked || revoke
			rights.single = append(rights.single, schemaRight{
				pattern: strings.ReplaceAll(m[3], "``", "`"), tables: showsTables(m[2]), revoke: revoke,
			})
		}
	}
	rights.schemas = rights.schemas && !rights.revoked
	return rights
}

func showsTables(privileges string) bool {
	return slices.ContainsFunc(strings.Split(privileges, ", "), func(p string) bool {
		return slices.Contains(tablePrivileges, p)
	})
}

// allTables reports whether the account sees every table of the schema. Of several patterns that match, the server
// applies one, so all of them must allow it.
func (r accountRights) allTables(schema string) bool {
	granted := false
	for _, right := range r.single {
		if r.literal && right.pattern != schema || !r.literal && !matchesLike(right.pattern, schema) {
			continue
		}
		if right.revoke || (!right.tables && !r.tables) {
			return false
		}
		granted = true
	}
	return r.tables || granted
}

// likeMySQL matches a name with a pattern of LIKE: % any run, _ one character, \ takes the next as it is.
func matchesLike(pattern, name string) bool {
	var expression strings.Builder
	escaped := false
	for _, r := range pattern {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == '%':
			expression.WriteString(".*")
		case !escaped && r == '_':
			expression.WriteString(".")
		default:
			expression.WriteString(regexp.QuoteMeta(string(r)))
		}
		escaped = false
	}
	matched, err := regexp.MatchString("^(?s:"+expression.String()+")$", name)
	return err == nil && matched
}

// rights reads the account's own grants, those of its active roles included.
func (s *session) rights(ctx context.Context) (accountRights, error) {
	var grants []string
	err := s.each(ctx, "SHOW GRANTS", func(rows *sql.Rows) error {
		var line string
		err := rows.Scan(&line)
		grants = append(grants, line)
		return err
	})
	if errorNumber(err) == codeNoGrants {
		return accountRights{}, nil
	}
	return parseRights(grants, s.literalGrants), err
}

// grant lets the account, as CURRENT_USER() says it, see every table and every file, and no row of data.
func grant(account string) string {
	at := strings.LastIndex(account, "@")
	if at < 0 {
		return ""
	}
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s) + "'" }
	return "GRANT PROCESS, REFERENCES ON *.* TO " + quote(account[:at]) + "@" + quote(account[at+1:]) + ";"
}
