package handlers_test

import (
	"whalefall/collectors"
	"whalefall/collectors/mysql"
	"whalefall/collectors/oracle"
	"whalefall/collectors/postgresql"
	"whalefall/collectors/sqlite"
	"whalefall/collectors/sqlserver"
	"whalefall/models"
)

// shippedEngines returns the collector of every engine; SQLite files are allowed in dir.
func shippedEngines(dir string) map[models.Engine]collectors.Collector {
	return map[models.Engine]collectors.Collector{
		models.PostgreSQL: postgresql.New(),
		models.MySQL:      mysql.New(),
		models.SQLite:     sqlite.New([]string{dir}),
		models.Oracle:     oracle.New(nil),
		models.SQLServer:  sqlserver.New(),
	}
}
