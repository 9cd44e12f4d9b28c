package models

import "strings"

// Engine names the kind of a monitored server; the values are the contract's db_type.
type Engine string

// The engines of the contract. MariaDB is a flavour of MySQL, found out by asking the server.
const (
	MySQL      Engine = "mysql"
	Oracle     Engine = "oracle"
	PostgreSQL Engine = "postgresql"
	SQLServer  Engine = "sqlserver"
	SQLite     Engine = "sqlite"
)

// Engines lists all engines in the order of the contract's error message.
var Engines = []Engine{MySQL, Oracle, PostgreSQL, SQLServer, SQLite}

var engineAliases = map[string]Engine{"mssql": SQLServer, "postgres": PostgreSQL, "pg": PostgreSQL, "mariadb": MySQL}

// ParseEngine accepts a db_type or one of its aliases in any case.
func ParseEngine(s string) (Engine, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if e, ok := engineAliases[s]; ok {
		return e, true
	}
	for _, e := range Engines {
		if string(e) == s {
			return e, true
		}
	}
	return "", false
}
