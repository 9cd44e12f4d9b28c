package mysql

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"strings"
)

// accountRights holds what the grants of an account prove. Nothing else does: the server silently leaves out tables and
// schemas that the account has no privilege on.
type accountRights struct {
	schemas bool // sees every schema
	tables  bool // sees every table, except where a schemaRight says otherwise
	revoked bool // some privilege is revoked on some schema (MySQL 8 partial revokes)
	literal bool // patterns are names, without wildcards
	single  []schemaRight
}

// schemaRight is a grant or revoke on the schemas that match a pattern.
type schemaRight struct {
	pattern string
	tables  bool // sees every table there
	revoke  bool
}

var (
	// Privileges are words in capitals, so that a quoted name is never taken for them or for "*.*".
	globalGrant = regexp.MustCompile(`^GRANT ([A-Z_, ]+) ON \*\.\* TO `)
	schemaGrant = regexp.MustCompile("^(GRANT|REVOKE) ([A-Z_, ]+) ON `((?:[^`]|``)*)`\\.\\* (?:TO|FROM) ")
)

// tablePrivileges are the privileges that make a table visible in information_schema.tables.
var tablePrivileges = []string{
	"ALL", "ALL PRIVILEGES", "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER",
	"CREATE VIEW", "SHOW VIEW", "TRIGGER", "DELETE HISTORY", "DELETE VERSIONING ROWS",
}

// parseRights parses the lines of SHOW GRANTS. If literal is set, "%" and "_" in schema names are no wildcards.
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

// allTables reports whether the account sees every table of the schema. The server applies only one of the patterns
// that match the schema, so each of them must grant that.
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

// matchesLike reports whether the name matches the pattern, in which % stands for any characters, _ for one, and \
// escapes the next.
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

// rights reads the grants of the account, including those of its active roles.
func (s *session) rights(ctx context.Context) (accountRights, error) {
	var grants []string
	err := s.each(ctx, "SHOW GRANTS", func(rows *sql.Rows) error {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		grants = append(grants, line)
		return nil
	})
	switch {
	case errorNumber(err) == codeNoGrants:
		return accountRights{}, nil
	case err != nil:
		return accountRights{}, err
	}
	return parseRights(grants, s.literalGrants), nil
}

// grant returns the statement that lets the account, given as user@host, see every table and file but no data. It is
// empty if the account has no "@".
func grant(account string) string {
	at := strings.LastIndex(account, "@")
	if at < 0 {
		return ""
	}
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s) + "'" }
	return "GRANT PROCESS, REFERENCES ON *.* TO " + quote(account[:at]) + "@" + quote(account[at+1:]) + ";"
}
