package cli

import (
	"path/filepath"

	"whalefall/collectors"
	"whalefall/collectors/mysql"
	"whalefall/collectors/oracle"
	"whalefall/collectors/postgresql"
	"whalefall/collectors/sqlite"
	"whalefall/collectors/sqlserver"
	"whalefall/models"
)

// Engines returns the collector of each engine that this release knows.
func Engines(s *Settings) map[models.Engine]collectors.Collector {
	return map[models.Engine]collectors.Collector{
		models.PostgreSQL: postgresql.New(),
		models.MySQL:      mysql.New(),
		models.SQLite:     sqlite.New(append(s.SqliteDirs, s.DataDir)),
		models.Oracle:     oracle.New(append(s.WalletDirs, filepath.Join(s.DataDir, "wallets"))),
		models.SQLServer:  sqlserver.New(),
	}
}
