package cli

import (
	"context"
	"log/slog"
	"path/filepath"

	"whalefall/collectors"
	"whalefall/collectors/child"
	"whalefall/collectors/mysql"
	"whalefall/collectors/oracle"
	"whalefall/collectors/postgresql"
	"whalefall/collectors/sqlite"
	"whalefall/collectors/sqlserver"
	"whalefall/models"
)

// Engines returns the collector of each engine that this release knows. Those whose drivers allocate what a peer tells
// them to run in processes of their own, which log to log.
func Engines(s *Settings, log *slog.Logger) map[models.Engine]collectors.Collector {
	all := engines(s)
	for _, e := range []models.Engine{models.MySQL, models.SQLServer, models.Oracle} {
		all[e] = child.New(all[e], log, s.collectorArgs()...)
	}
	return all
}

// engines returns the collectors of all engines, each of which works in this process.
func engines(s *Settings) map[models.Engine]collectors.Collector {
	return map[models.Engine]collectors.Collector{
		models.PostgreSQL: postgresql.New(),
		models.MySQL:      mysql.New(),
		models.SQLite:     sqlite.New(append(s.SqliteDirs, s.DataDir)),
		models.Oracle:     oracle.New(append(s.WalletDirs, filepath.Join(s.DataDir, "wallets"))),
		models.SQLServer:  sqlserver.New(),
	}
}

// CollectorCommand is the command that a process of child.Collector runs.
const CollectorCommand = "collector"

// collectorArgs returns the command line of a process that collects under these settings.
func (s *Settings) collectorArgs() []string {
	args := []string{CollectorCommand, "--data-dir=" + s.DataDir}
	for _, directory := range s.WalletDirs {
		args = append(args, "--wallet-dirs="+directory)
	}
	return args
}

type collectorCmd struct{}

// Run makes one call of a collector for the process that started this one. The signals that a terminal or a service
// manager sends to both are left to that process, which ends this one when it is done with it.
func (collectorCmd) Run(ctx context.Context, s *Settings, p Program) error {
	return child.Serve(context.WithoutCancel(ctx), p.In, p.Out, engines(s))
}
